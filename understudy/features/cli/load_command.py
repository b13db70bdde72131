"""`understudy features load`: a file of feature values into a store."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureView, ViewKind
from understudy.features.cli.command_output import (
    Format,
    Output,
    StoreUrl,
    ViewsFile,
    print_json,
    told_in_one_line,
)
from understudy.runtime import exit_codes

if TYPE_CHECKING:
    from understudy.features.decisions.row_values import Reject
    from understudy.features.loading.load_features import LoadProgress

_SHOWN_REJECTS = 10


def load(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file, a row per entity and time.")],
    views: ViewsFile,
    store: StoreUrl,
    *,
    view: Annotated[
        str | None, typer.Option(help="View the rows are of; needed when there are several.")
    ] = None,
    entity_column: Annotated[
        str | None, typer.Option(help="Column of entity ids; the entity's type by default.")
    ] = None,
    event_time_column: Annotated[
        str, typer.Option(help="Column of event times (UTC).")
    ] = "event_time",
    event_time: Annotated[
        datetime | None, typer.Option(help="One event time (UTC) for all rows, instead.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="CSV file for rejects: file, row, column, read, accepted.")
    ] = None,
    max_rejects: Annotated[
        int, typer.Option(min=0, help="Rejected rows that still count as success.")
    ] = 0,
    chunk_rows: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Rows that are written together.")
    ] = 8192,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Chunks packed at a time.")] = 2,
    rows_per_s: Annotated[
        float | None, typer.Option(min=1, help="Rows that the store may be asked to take.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Load a file of feature values; a repetition goes on where it stopped.

    The record with the later event time stays, so loading twice or out of order is harmless.
    Rows with an unusable value are left out whole. Exits 65 when more were than --max-rejects.
    """
    from understudy.features.loading.load_features import SourceFile, load_features  # noqa: PLC0415 - slow import
    from understudy.features.stores import open_writer  # noqa: PLC0415 - slow import
    from understudy.features.views import find_view, load_views  # noqa: PLC0415 - slow import

    with told_in_one_line():
        known = load_views(views)
        chosen = find_view(known, view) if view else _only_stored(known)
        if chosen.kind is not ViewKind.STORED:
            raise InvalidInputError.of("--view", read=chosen, accepted="a stored view")
        source = SourceFile(
            file,
            entity_column or chosen.entity,
            _in_ms(event_time) if event_time else event_time_column,
        )
        writer = open_writer(store)
        try:
            with _told(file, rejects) as on_reject, _shown(file) as on_progress:
                done = load_features(
                    source,
                    chosen,
                    writer,
                    chunk_rows=chunk_rows,
                    threads=threads,
                    rows_per_s=rows_per_s,
                    on_reject=on_reject,
                    on_progress=on_progress,
                )
        finally:
            writer.close_now()
    _print_done(chosen, done, output)
    if done.rejected > max_rejects:
        raise typer.Exit(exit_codes.DATA_ERROR)


def _print_done(view: FeatureView, done: "LoadProgress", output: Format) -> None:
    if output is Format.JSON:
        print_json({"view": str(view), **asdict(done)})
        return
    typer.echo(
        f"{view}: {done.rows} rows: {done.written} written, {done.older} no newer than what is "
        f"there, {done.rejected} rejected, {done.skipped} put before"
    )


def _only_stored(views: tuple[FeatureView, ...]) -> FeatureView:
    stored = [view for view in views if view.kind is ViewKind.STORED]
    if len(stored) != 1:
        accepted = f"one of {', '.join(map(str, stored))}"
        raise InvalidInputError.of("--view", read="nothing", accepted=accepted)
    return stored[0]


def _in_ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


@contextmanager
def _told(source: Path, path: Path | None) -> Iterator[Callable[["Reject"], None]]:
    """Yield what tells rejects: to the file all, to stderr the first few."""
    if path is None:
        told = 0

        def tell(reject: "Reject") -> None:
            nonlocal told
            told += 1
            if told <= _SHOWN_REJECTS:
                typer.echo(
                    f"rejected: row {reject.row}, {reject.column}: read {reject.read}; "
                    f"accepted: {reject.accepted}",
                    err=True,
                )
            elif told == _SHOWN_REJECTS + 1:
                typer.echo("rejected: more (--rejects FILE writes them all)", err=True)

        yield tell
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "row", "column", "read", "accepted"))
        yield lambda each: table.writerow((source, each.row, each.column, each.read, each.accepted))


@contextmanager
def _shown(file: Path) -> Iterator[Callable[["LoadProgress"], None]]:
    """Yield what shows progress: a bar on a terminal, else nothing."""
    from understudy.features.loading.source_files import count_rows  # noqa: PLC0415 - slow import

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.speed:.0f} rows/s", justify="right"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(file.name, total=count_rows(file))
        yield lambda done: progress.update(task, completed=done.rows)
