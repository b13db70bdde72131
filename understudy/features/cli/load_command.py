"""`understudy features load`: writes a file of feature values to a store."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from understudy.domain.errors import CheckFailedError, NotFoundError
from understudy.domain.features import FeatureView
from understudy.features.cli.options import StoreUrl, ViewsFile
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen
from understudy.runtime.written_files import writing

if TYPE_CHECKING:
    from understudy.features.decisions.row_values import Reject
    from understudy.features.loading.load_features import LoadProgress

_SHOWN_REJECTS = 10


def load(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file, one row per entity and time.")],
    views: ViewsFile,
    store: StoreUrl,
    *,
    view: Annotated[
        str | None, typer.Option(help="View of the rows; required if there are several.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Family to update; required if the view has families.")
    ] = None,
    entity_column: Annotated[
        str | None, typer.Option(help="Column of entity ids; the entity's type by default.")
    ] = None,
    event_time_column: Annotated[
        str, typer.Option(help="Column of event times (UTC).")
    ] = "event_time",
    event_time: Annotated[
        datetime | None, typer.Option(help="One event time (UTC) for all rows instead.")
    ] = None,
    created_time_column: Annotated[
        str | None, typer.Option(help="Column that breaks ties of event times: the later wins.")
    ] = None,
    future_tolerance_s: Annotated[
        float, typer.Option(min=0, help="Reject rows with times further in the future.")
    ] = 300.0,
    rejects: Annotated[
        Path | None, typer.Option(help="CSV file for rejects: file, row, column, read, accepted.")
    ] = None,
    max_rejects: Annotated[
        int, typer.Option(min=0, help="Rejected rows that still count as success.")
    ] = 0,
    chunk_rows: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Number of rows per write.")
    ] = 8192,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Chunks packed concurrently.")] = 2,
    rows_per_s: Annotated[
        float | None, typer.Option(min=1, help="Limit on the rate of writes.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Load a file of feature values; a repeated load resumes where it stopped.

    The record with the later event time stays, so loading twice or out of order is harmless.
    Rows with an unusable value are rejected. Exits 1 if there are more than --max-rejects.
    """
    from understudy.features.cli.stored_view import stored_view  # noqa: PLC0415 - slow import
    from understudy.features.decisions.families import family_of  # noqa: PLC0415 - slow import
    from understudy.features.decisions.view_rules import check_writable  # noqa: PLC0415 - slow import
    from understudy.features.loading.load_features import SourceFile, load_features  # noqa: PLC0415 - slow import
    from understudy.features.stores import check_view, open_writer  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    known = load_views(views)
    chosen = family_of(stored_view(known, view), family, field="--family")
    source = SourceFile(
        file,
        entity_column or chosen.entity,
        _in_ms(event_time) if event_time else event_time_column,
        created_time_column,
    )
    if not file.is_file():  # before the store is created
        raise NotFoundError("file", file)
    check_writable(chosen)
    check_view(store, chosen)
    writer = open_writer(store)
    first_rejects: list[Reject] = []
    try:
        with _told(file, rejects, first_rejects, output) as on_reject, _shown(file) as on_progress:
            done = load_features(
                source,
                chosen,
                writer,
                chunk_rows=chunk_rows,
                threads=threads,
                rows_per_s=rows_per_s,
                future_tolerance_s=future_tolerance_s,
                on_reject=on_reject,
                on_progress=on_progress,
            )
    finally:
        writer.close_now()
    if output is Format.JSON:
        print_json({"view": str(chosen), **asdict(done), "first_rejects": first_rejects})
    else:
        _print_done(chosen, done, len(first_rejects))
    if done.rejected > max_rejects:
        raise CheckFailedError(f"{done.rejected} rows rejected; --max-rejects is {max_rejects}")


def _print_done(view: FeatureView, done: "LoadProgress", told_rejects: int) -> None:
    if 0 < told_rejects < done.rejected:
        Screen(stderr=True).say("rejected: more (--rejects FILE writes them all)")
    Screen().say(
        f"{view}: {done.rows} rows: {done.written} written, {done.older} not newer than stored "
        f"ones, {done.rejected} rejected, {done.skipped} written before"
    )
    if done.reloaded:
        Screen().say("the store no longer had what an earlier run wrote, so it was written again")


def _in_ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


@contextmanager
def _told(
    source: Path, path: Path | None, first: "list[Reject]", output: Format
) -> Iterator[Callable[["Reject"], None]]:
    """Yield a sink for rejects: all go into the file, or the first few into `first` and on stderr."""
    if path is None:
        yield lambda each: _tell_reject(each, first, output)
        return
    with writing(path, option="--rejects"):
        file = path.open("w", newline="", encoding="utf-8")
    with file:
        table = csv.writer(file)
        table.writerow(("file", "row", "column", "read", "accepted"))
        yield lambda each: table.writerow((source, each.row, each.column, each.read, each.accepted))


def _tell_reject(reject: "Reject", first: "list[Reject]", output: Format) -> None:
    if len(first) == _SHOWN_REJECTS:
        return
    first.append(reject)
    if output is Format.TABLE:
        Screen(stderr=True).say(
            f"rejected: row {reject.row}, {reject.column}: read {reject.read}; "
            f"accepted: {reject.accepted}"
        )


@contextmanager
def _shown(file: Path) -> Iterator[Callable[["LoadProgress"], None]]:
    """Yield a display of progress: a bar on a terminal, otherwise nothing."""
    from understudy.features.loading.source_files import count_rows  # noqa: PLC0415 - slow import

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:.0f} rows/s", justify="right"),
        TimeRemainingColumn(),
    )
    console = Screen(stderr=True).console
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(file.name, total=count_rows(file))
        yield lambda done: progress.update(task, completed=done.rows)
