"""`understudy features history|audit|freshness`: historical values, skew and freshness."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.domain.errors import (
    CheckFailedError,
    InconclusiveError,
)
from understudy.domain.logged_ids import IdForm
from understudy.features.cli.audit_output import print_audit
from understudy.features.cli.history_options import (
    CreatedTimeColumn,
    EntityColumn,
    EventTimeColumn,
    FeatureSetFile,
    HistoryFiles,
    IngestionTimeColumn,
    LogFiles,
    Where,
    existing,
    feature_set_of,
    only_entity,
    sources_of,
)
from understudy.features.cli.options import StoreUrl, ViewsFile
from understudy.features.cli.stored_records import stored_records
from understudy.runtime.log_key import LogIdsOption, LogKeyFile, read_logged_ids
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output
from understudy.runtime.terminal.screen import Screen
from understudy.runtime.written_files import writing

if TYPE_CHECKING:
    from understudy.features.history.freshness import ViewFreshness

_SHARE_COLUMNS = (
    "view",
    "name",
    "rows",
    "stale",
    "defaulted",
    "last_known",
    "missing",
    "null",
    "unread",
    "unknown",
)


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
    ingestion_time_column: IngestionTimeColumn = None,
    as_known_at: Annotated[
        str | None,
        typer.Option(
            help="Use only records that a store had got by then: `row`, the time of each row, or a "
            "UTC time for all rows."
        ),
    ] = None,
    use_stale: Annotated[
        bool, typer.Option("--use-stale", help="Keep values older than their max age.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Write the values that features had for each row at the time of the row."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - slow import

    from understudy.features.decisions.ingestion_times import parse_known_at  # noqa: PLC0415 - slow import
    from understudy.features.history.history import read_history  # noqa: PLC0415 - slow import
    from understudy.features.loading.source_files import read_rows  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    known = load_views(views)
    asked = read_rows(existing(rows))
    columns = (entity_column, event_time_column, created_time_column)
    found = read_history(
        asked,
        feature_set_of(feature_set, known),
        known,
        sources_of(
            history, known, columns, ingestion_time_column, is_needed=as_known_at is not None
        ),
        use_stale=use_stale,
        known_at=None if as_known_at is None else parse_known_at(as_known_at, "--as-known-at"),
    )
    with writing(out, option="OUT"):
        pq.write_table(found.values.table(asked), out)
    features, unknown = len(found.values.names), found.rows_of_unknown_ingestion
    if output is Format.JSON:
        counts = {"rows": len(asked), "features": features, "rows_of_unknown_ingestion": unknown}
        print_json({"file": out, **counts})
        return
    Screen().say(f"{out}: {len(asked)} rows, {features} features")
    if as_known_at is not None and unknown:
        Screen().say(
            f"ingestion time unknown in {unknown} rows: counted as known at the event time"
        )


def audit(
    log: Annotated[str, typer.Option("--log", help="Score log: Parquet path or glob.")],
    views: ViewsFile,
    history: HistoryFiles,
    *,
    feature_set: FeatureSetFile = None,
    entity_column: EntityColumn = None,
    event_time_column: EventTimeColumn = "event_time",
    created_time_column: CreatedTimeColumn = None,
    ingestion_time_column: IngestionTimeColumn = None,
    visible_after_s: Annotated[
        float,
        typer.Option(min=0, help="Longest time from a record's ingestion until stores answer it."),
    ] = 5.0,
    store: Annotated[
        str | None,
        typer.Option(help="Store with the ingestion times of records whose history has none."),
    ] = None,
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
        audit_faults,
        audit_features,
    )
    from understudy.features.history.served_columns import ScoreLog  # noqa: PLC0415 - slow import
    from understudy.features.stores import require_store  # noqa: PLC0415 - slow import
    from understudy.features.views import load_views  # noqa: PLC0415 - slow import

    if store is not None:
        require_store(store)
    known = load_views(views)
    columns = (entity_column, event_time_column, created_time_column)
    report = audit_features(
        ScoreLog(log, where=where),
        feature_set_of(feature_set, known),
        known,
        sources_of(history, known, columns, ingestion_time_column),
        entity=entity or only_entity(known),
        keys=read_logged_ids(log_ids, log_key_file),
        max_rows=max_rows,
        tolerance=tolerance,
        worst=worst,
        visible_after_s=visible_after_s,
        read_stored=None if store is None else partial(stored_records, store),
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
    max_unknown_share: Annotated[
        float, typer.Option(min=0, max=1, help="Exit 1 if a status was unknown more often.")
    ] = 0.0,
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
    refs = feature_set_of(feature_set, known)
    shares = feature_shares(log, refs, where=where) if log else ()
    if textfile is not None:
        with writing(textfile, option="--textfile"):
            write_metrics(textfile, found, shares)
    if output is Format.JSON:
        print_json({"views": found, "features": shares})
    else:
        Screen().rows(list(map(asdict, found)), columns=("view", "newest_age_s"))
        Screen().rows(list(map(asdict, shares)), columns=_SHARE_COLUMNS)
    faults = freshness_faults(
        found,
        shares,
        max_age_s=max_age_s,
        max_stale_share=max_stale_share,
        max_unknown_share=max_unknown_share,
        future_tolerance_s=future_tolerance_s,
    )
    if faults:
        raise CheckFailedError("; ".join(faults))
