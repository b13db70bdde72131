"""Options of `understudy features history|audit|freshness`, and their meaning."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import FeatureRef, FeatureView, ViewKind

if TYPE_CHECKING:
    from understudy.features.loading.history_files import HistorySource

FeatureSetFile = Annotated[
    Path | None,
    typer.Option(
        "--feature-set",
        help="Text file, one view@version:feature per line, in the order of the model; "
        "all features of the views by default.",
    ),
]
HistoryFiles = Annotated[
    list[str],
    typer.Option(
        "--history", help="VIEW=FILES, Parquet path or glob of a view's records; once per view."
    ),
]
EntityColumn = Annotated[
    str | None,
    typer.Option(help="Column of entity ids in the history; the entity's type by default."),
]
CreatedTimeColumn = Annotated[
    str | None,
    typer.Option(help="Column that breaks ties of event times; the same as for loading."),
]
IngestionTimeColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of the times at which a store got the rows; by default ingestion_time, where "
        "a file has it."
    ),
]
EventTimeColumn = Annotated[str, typer.Option(help="Column of event times in the history.")]
LogFiles = Annotated[str | None, typer.Option("--log", help="Score log: Parquet path or glob.")]
Where = Annotated[str, typer.Option(help="SQL condition over the log, e.g. 'version = 3'.")]


def feature_set_of(path: Path | None, views: Sequence[FeatureView]) -> list[FeatureRef]:
    """Return the features in a file, or all of the views.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is not UTF-8, or a line names no feature.
    """
    if path is None:
        return [
            FeatureRef(view.name, view.version, feature.name)
            for view in views
            for feature in view.features
        ]
    try:
        text = existing(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        accepted = "text in UTF-8, one view@version:feature per line"
        raise InvalidInputError.of(
            f"--feature-set {path}", read="bytes", accepted=accepted
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    return [
        FeatureRef.parse(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line and not line.startswith("#")
    ]


def sources_of(
    texts: Sequence[str],
    views: Sequence[FeatureView],
    columns: tuple[str | None, str, str | None],
    ingestion_time_column: str | None,
    *,
    is_needed: bool = False,
) -> dict[str, "HistorySource"]:
    """Return the history of each view that `--history` names, by `name@version`.

    Args:
        texts: the values of the option.
        views: all views.
        columns: of entity ids (by default the view's entity), event times and created times.
        ingestion_time_column: None for the usual name.
        is_needed: some file of each view must have ingestion times; so it must if they are named.

    Raises:
        NotFoundError: there is no such view.
        InvalidInputError: a text is not VIEW=FILES.
    """
    from understudy.features.loading.history_files import INGESTION_TIME_COLUMN, HistorySource  # noqa: PLC0415 - slow import
    from understudy.features.views import find_view  # noqa: PLC0415 - slow import

    entity_column, event_time_column, created_time_column = columns
    sources: dict[str, HistorySource] = {}
    for text in texts:
        name, separator, files = text.partition("=")
        if not (separator and files):
            raise InvalidInputError.of("--history", read=text, accepted="VIEW=FILES")
        view = find_view(views, name)
        sources[str(view)] = HistorySource(
            files,
            entity_column or view.entity,
            event_time_column,
            created_time_column,
            ingestion_time_column or INGESTION_TIME_COLUMN,
            needs_ingestion_times=is_needed or ingestion_time_column is not None,
        )
    return sources


def only_entity(views: Sequence[FeatureView]) -> str:
    """Return the entity type of all stored views.

    Raises:
        InvalidInputError: they have several.
    """
    entities = dict.fromkeys(view.entity for view in views if view.kind is ViewKind.STORED)
    if len(entities) != 1:
        raise InvalidInputError.of(
            "--entity", read="nothing", accepted=f"one of {', '.join(entities)}"
        )
    return next(iter(entities))


def existing(path: Path) -> Path:
    """Return the path of a file.

    Raises:
        NotFoundError: it does not exist.
    """
    if not path.is_file():
        raise NotFoundError("file", path)
    return path
