"""`understudy features history|audit|freshness`: historical values, skew and freshness."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.domain.errors import (
    CheckFailedError,
    InconclusiveError,
    InvalidInputError,
    NotFoundError,
)
from understudy.domain.features import FeatureRef, FeatureView, ViewKind
from understudy.domain.logged_ids import IdForm
from understudy.features.cli.audit_output import print_audit
from understudy.features.cli.options import StoreUrl, ViewsFile
from understudy.runtime.log_key import LogIdsOption, LogKeyFile, read_logged_ids
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen
from understudy.runtime.written_files import writing

if TYPE_CHECKING:
    from understudy.features.history.freshness import ViewFreshness
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
EventTimeColumn = Annotated[str, typer.Option(help="Column of event times in the history.")]
LogFiles = Annotated[str | None, typer.Option("--log", help="Score log: Parquet path or glob.")]
Where = Annotated[str, typer.Option(help="SQL condition over the log, e.g. 'version = 3'.")]


def history(
    rows: Annotated[Path, typer.Argument(help="Parquet: a column per entity, and event_time.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    views: ViewsFile,
    history: HistoryFiles,
    *,
    feature_set: FeatureSetFile = None,
    entity_column: EntityColumn = None,
    event_time_column: EventTimeColumn = "event_time",
    created_time_column: CreatedTimeColumn = None,
    use_stale: Annotated[
        bool, typer.Option("--use-stale", help="Keep values older than their max age.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Write the values that features had for each row at the time of the row."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow import

    from understudy.features.history.history import get_historical_features  # noqa: PLC0415 - slow import
    from understudy.features.loading.source_files import read_rows  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    known = load_views(views)
    asked = read_rows(_existing(rows))
    found = get_historical_features(
        asked,
        _feature_set(feature_set, known),
        known,
        _sources(history, known, (entity_column, event_time_column, created_time_column)),
        use_stale=use_stale,
    )
    with writing(out, option="OUT"):
        pq.write_table(found.table(asked), out)
    if output is Format.JSON:
        print_json({"file": out, "rows": len(asked), "features": len(found.names)})
    else:
        Screen().say(f"{out}: {len(asked)} rows, {len(found.names)} features")


def audit(
    log: Annotated[str, typer.Option("--log", help="Score log: Parquet path or glob.")],
    views: ViewsFile,
    history: HistoryFiles,
    *,
    feature_set: FeatureSetFile = None,
    entity_column: EntityColumn = None,
    event_time_column: EventTimeColumn = "event_time",
    created_time_column: CreatedTimeColumn = None,
    entity: Annotated[str | None, typer.Option(help="Entity type of the log's unit keys.")] = None,
    where: Where = "",
    log_ids: LogIdsOption = IdForm.KEYED,
    log_key_file: LogKeyFile = None,
    max_rows: Annotated[int, typer.Option(min=1, help="Logged rows to compare.")] = 100_000,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="Relative difference that counts as none.")
    ] = 0.0,
    max_mismatch_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Exit 1 if a feature differs more often.")
    ] = 0.0,
    max_unknown_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Exit 1 if more values or rows are unknown.")
    ] = 0.0,
    worst: Annotated[int, typer.Option(min=0, max=1000, help="Cases to show per feature.")] = 3,
    output: Output = Format.TABLE,
) -> None:
    """Compare served vectors with the history of the same entity and time."""
    from understudy.features.history.audit import (  # noqa: PLC0415 - slow import
        ScoreLog,
        audit_faults,
        audit_features,
    )
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    known = load_views(views)
    report = audit_features(
        ScoreLog(log, where=where),
        _feature_set(feature_set, known),
        known,
        _sources(history, known, (entity_column, event_time_column, created_time_column)),
        entity=entity or _only_entity(known),
        keys=read_logged_ids(log_ids, log_key_file),
        max_rows=max_rows,
        tolerance=tolerance,
        worst=worst,
    )
    print_audit(report, output)
    if report.matched_rows == 0:
        raise InconclusiveError(
            f"none of {report.logged_rows} logged rows has its entity in the history, and "
            f"{report.unknown_rows} rows have no values: nothing to compare"
        )
    faults = audit_faults(
        report, max_mismatch_rate=max_mismatch_rate, max_unknown_rate=max_unknown_rate
    )
    if faults:
        raise CheckFailedError("; ".join(faults))


def freshness(
    views: ViewsFile,
    store: StoreUrl,
    *,
    max_age_s: Annotated[
        float | None, typer.Option(min=0, help="Exit 1 if a view's newest record is older.")
    ] = None,
    log: LogFiles = None,
    feature_set: FeatureSetFile = None,
    where: Where = "",
    max_stale_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Exit 1 if a feature was stale or unknown more often."),
    ] = 1.0,
    future_tolerance_s: Annotated[
        float, typer.Option(min=0, help="Exit 1 if a newest record is further in the future.")
    ] = 300.0,
    textfile: Annotated[
        Path | None, typer.Option(help="File for Prometheus metrics, for a textfile collector.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show the age of each view's newest record, and the statuses of served features."""
    from understudy.features.history.freshness import (  # noqa: PLC0415 - slow import
        feature_shares,
        freshness_faults,
        view_freshness,
    )
    from understudy.features.history.freshness_metrics import write_metrics  # noqa: PLC0415 - slow import
    from understudy.features.stores import isolated_store, require_store  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    async def ages() -> tuple["ViewFreshness", ...]:
        require_store(store)
        async with isolated_store(store) as opened:
            now_s = datetime.now(UTC).timestamp()
            return await view_freshness(opened, known, now_s=now_s, timeout_s=5.0)

    known = load_views(views)
    found = asyncio.run(ages())
    refs = _feature_set(feature_set, known)
    shares = feature_shares(log, refs, where=where) if log else ()
    if textfile is not None:
        with writing(textfile, option="--textfile"):
            write_metrics(textfile, found, shares)
    if output is Format.JSON:
        print_json({"views": found, "features": shares})
    else:
        Screen().rows(list(map(asdict, found)), columns=("view", "newest_age_s"))
        columns = ("view", "name", "rows", "stale", "defaulted", "last_known", "missing", "unknown")
        Screen().rows(list(map(asdict, shares)), columns=columns)
    faults = freshness_faults(
        found,
        shares,
        max_age_s=max_age_s,
        max_stale_share=max_stale_share,
        future_tolerance_s=future_tolerance_s,
    )
    if faults:
        raise CheckFailedError("; ".join(faults))


def _feature_set(path: Path | None, views: Sequence[FeatureView]) -> list[FeatureRef]:
    if path is None:
        return [
            FeatureRef(view.name, view.version, feature.name)
            for view in views
            for feature in view.features
        ]
    lines = [line.strip() for line in _existing(path).read_text(encoding="utf-8").splitlines()]
    return [
        FeatureRef.parse(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line and not line.startswith("#")
    ]


def _sources(
    texts: Sequence[str],
    views: Sequence[FeatureView],
    columns: tuple[str | None, str, str | None],
) -> dict[str, "HistorySource"]:
    from understudy.features.loading.history_files import HistorySource  # noqa: PLC0415 - slow import
    from understudy.features.views import find_view  # noqa: PLC0415 - slow import

    entity_column, event_time_column, created_time_column = columns
    sources: dict[str, HistorySource] = {}
    for text in texts:
        name, separator, files = text.partition("=")
        if not (separator and files):
            raise InvalidInputError.of("--history", read=text, accepted="VIEW=FILES")
        view = find_view(views, name)
        sources[str(view)] = HistorySource(
            files, entity_column or view.entity, event_time_column, created_time_column
        )
    return sources


def _only_entity(views: Sequence[FeatureView]) -> str:
    entities = dict.fromkeys(view.entity for view in views if view.kind is ViewKind.STORED)
    if len(entities) != 1:
        raise InvalidInputError.of(
            "--entity", read="nothing", accepted=f"one of {', '.join(entities)}"
        )
    return next(iter(entities))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError("file", path)
    return path
