"""The analysts' commands: `understudy shadow …`."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from understudy.comparison.cli.ids import print_ids
from understudy.comparison.cli.options import Model
from understudy.comparison.cli.output import (
    print_books,
    print_imported,
    print_rows,
    say_left_out,
)
from understudy.domain.errors import CheckFailedError
from understudy.domain.logged_ids import IdForm
from understudy.domain.versions import checked_model_name
from understudy.logs.finished_files import Scope
from understudy.logs.place_option import LOG_DIR, LogDir
from understudy.logs.places import LogPlace
from understudy.logs.schema import LogKind
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.log_key import LogIdsOption, LogKeyFile, read_logged_ids
from understudy.runtime.terminal.output_option import Format, Output

app = typer.Typer(
    cls=CommandGroup,
    help="Read the logs of scores, shadows and outcomes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
outcomes = typer.Typer(no_args_is_help=True, help="Ground truth that arrives later.")
app.add_typer(outcomes, name="outcomes")

_FOLLOW_S = 1.0
_FOLLOWED_ROWS = 10_000  # at most this many a second


@app.command()
def tail(
    log_dir: LogDir,
    *,
    kind: Annotated[LogKind, typer.Option(help="log to read")] = LogKind.SCORE,
    model: Annotated[str | None, typer.Option("--model", help="[all]")] = None,
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, max=10_000)] = 20,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="keep printing until Ctrl-C")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show the newest rows, including those of unfinished files."""
    from understudy.logs.latest import Follower  # noqa: PLC0415 - others start faster

    log = Follower(log_dir.folder, kind, model)
    found = log.next_rows(at_most=rows)
    print_rows(found, output)
    with_header = not found
    while follow:
        time.sleep(_FOLLOW_S)
        found = log.next_rows(at_most=_FOLLOWED_ROWS)
        print_rows(found, output, with_header=with_header)
        with_header = with_header and not found


@app.command()
def ledger(log_dir: LogDir, model: Model, *, output: Output = Format.TABLE) -> None:
    """Show the rows of each shadow by outcome, and those that are missing, by writer and number."""
    from understudy.logs.books import read_books  # noqa: PLC0415 - others start faster

    with log_dir.opened(Scope(checked_model_name(model))) as folder:
        books = read_books(folder, model)
    print_books(books, output)
    say_left_out(books.left_out)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="query over the views score, shadow and outcomes")],
    log_dir: LogDir,
    *,
    model: Annotated[str | None, typer.Option("--model", help="[all]")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="first day to read, UTC [all]")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="last day to read [all]")
    ] = None,
    unsafe: Annotated[
        bool,
        typer.Option(
            "--unsafe",
            help="let the query read and write every file that you can, and load extensions",
        ),
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Run a DuckDB query over the logs. It reaches no file and no network but those logs."""
    from understudy.logs.reader import open_logs_to_any_query, open_logs_unsafely  # noqa: PLC0415 - others start faster

    opened = open_logs_unsafely if unsafe else open_logs_to_any_query
    scope = Scope(
        None if model is None else checked_model_name(model),
        since=None if since is None else since.date(),
        until=None if until is None else until.date(),
    )
    with log_dir.opened(scope) as folder, opened(folder, scope) as reader:
        print_rows(reader.rows(query), output)
        say_left_out(reader.left_out)


@app.command()
def digest(
    ids: Annotated[list[str], typer.Argument(help="entity, unit key or candidate ids")],
    *,
    log_ids: LogIdsOption = IdForm.KEYED,
    log_key_file: LogKeyFile = None,
    log_dir: Annotated[LogPlace | None, LOG_DIR] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show ids as the columns unit_key and candidate_id contain them, for queries."""
    rule = read_logged_ids(log_ids, log_key_file)
    compared = None
    if log_dir is not None:
        from understudy.logs.ids_in_logs import compare_ids  # noqa: PLC0415 - others start faster

        with log_dir.opened() as folder:
            compared = compare_ids(folder, rule)
    print_ids(ids, rule, compared, output)


@outcomes.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines")],
    log_dir: LogDir,
    model: Model,
    *,
    request_id: Annotated[str, typer.Option(help="name of the column")] = "request_id",
    label: Annotated[str, typer.Option(help="name of the column")] = "label",
    observed_at: Annotated[str | None, typer.Option(help="name of the column [now]")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Write the outcomes in a file to the log, all or none; those that it has are not repeated.

    Exits 1 if none of them is of a request in the score log: the ids or the model may be wrong.
    """
    from understudy.comparison.decisions.outcome_values import OutcomeColumns  # noqa: PLC0415 - others start faster
    from understudy.comparison.import_outcomes import import_outcomes  # noqa: PLC0415 - others start faster

    at_us = time.time_ns() // 1000
    done = import_outcomes(
        file,
        log_dir.folder,
        model,
        columns=OutcomeColumns(request_id, label, observed_at),
        at_us=at_us,
    )
    print_imported(model, done, output)
    if not done.matched:
        raise CheckFailedError(
            f"none of {done.unmatched} outcomes is of a request in the score log of {model}"
        )
