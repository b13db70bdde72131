"""`understudy features`: what operators do with feature views and stores."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import InvalidInputError, NotFoundError, UnavailableError, UnderstudyError
from domain.features import FeatureView
from runtime import exit_codes

app = typer.Typer(
    help="Feature views and stores: check, load, compare, audit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ViewsFile = Annotated[Path, typer.Option("--views", help="YAML file with the feature views.")]
StoreUrl = Annotated[
    str, typer.Option("--store", help="lmdb:FOLDER or aerospike://HOST:PORT/NAMESPACE.")
]


@app.callback()
def features() -> None:
    """Feature views and stores: check, load, compare, audit."""


@app.command()
def load(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file, a row per entity.")],
    views: ViewsFile,
    store: StoreUrl,
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
        datetime | None, typer.Option(help="One event time for all rows (UTC), instead.")
    ] = None,
) -> None:
    """Load a file of feature values into a store; a repetition goes on where it stopped."""
    from features.load_features import SourceFile, load_features  # noqa: PLC0415 - slow import
    from features.stores import open_writer  # noqa: PLC0415 - slow import
    from features.views import find_view, load_views  # noqa: PLC0415 - slow import

    with _told_in_one_line():
        known = load_views(views)
        chosen = find_view(known, view) if view else _only(known)
        source = SourceFile(
            file,
            entity_column or chosen.entity,
            round(event_time.replace(tzinfo=UTC).timestamp() * 1000)
            if event_time
            else event_time_column,
        )
        writer = open_writer(store)
        try:
            done = load_features(
                source,
                chosen,
                writer,
                on_reject=lambda reject: typer.echo(
                    f"rejected: row {reject.row}, {reject.column}: read {reject.read}; "
                    f"accepted: {reject.accepted}",
                    err=True,
                ),
                on_progress=lambda _: None,
            )
        finally:
            writer.close_now()
    typer.echo(
        f"{chosen}: {done.rows} rows: {done.written} written, {done.older} older than what is "
        f"there, {done.rejected} rejected, {done.skipped} put before"
    )
    if done.rejected:
        raise typer.Exit(exit_codes.DATA_ERROR)


def _only(views: tuple[FeatureView, ...]) -> FeatureView:
    if len(views) != 1:
        raise InvalidInputError.of(
            "--view", read="nothing", accepted=f"one of {', '.join(map(str, views))}"
        )
    return views[0]


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    try:
        yield
    except UnderstudyError as error:
        print(f"understudy features: {error}", file=sys.stderr)  # noqa: T201 - for the operator
        raise typer.Exit(_exit_code_of(error)) from error


def _exit_code_of(error: UnderstudyError) -> int:
    match error:
        case InvalidInputError():
            return exit_codes.DATA_ERROR
        case NotFoundError():
            return exit_codes.USAGE
        case UnavailableError():
            return exit_codes.UNAVAILABLE
        case _:
            return exit_codes.FAILED
