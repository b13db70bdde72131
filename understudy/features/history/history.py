"""Historical feature values: a point-in-time join, executed by DuckDB.

For each row (entities, time), the latest record at or before the time is packed and assembled by
the code that serves requests, so training reads exactly what serving would have answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureScalar,
    FeatureStatus,
    FeatureView,
    KeyKind,
    ViewKind,
)
from understudy.features.decisions.arrow_columns import plain, shown
from understudy.features.decisions.column_values import column_values
from understudy.features.decisions.entity_ids import id_texts
from understudy.features.decisions.entity_keys import accepted_id
from understudy.features.decisions.event_times import ACCEPTED_TIME, times_of
from understudy.features.decisions.feature_columns import column_names, columns_of
from understudy.features.decisions.ingestion_times import KnownAt, ingestion_time_ms_of
from understudy.features.decisions.record_format import record_format
from understudy.features.decisions.statuses import status_when_absent
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.latest_records import latest_records
from understudy.features.serving.assembly import AssemblyPlan, compile_plan
from understudy.features.serving.feature_values import FeatureValues, column_specs, values_of

UNKNOWN_MS = 0  # of an ingestion time
NO_RECORD = -1
AT_COLUMN = "event_time"  # the column with the time for which values are asked


@dataclass(frozen=True, slots=True, eq=False)
class HistoricalFeatures:
    """The values of a feature set at times in the past, and the ingestion of their records."""

    values: FeatureValues
    ingested_ms: Mapping[str, npt.NDArray[np.int64]]  # by view, per row; UNKNOWN_MS, NO_RECORD

    @property
    def rows_of_unknown_ingestion(self) -> int:
        """The number of rows with a record of which the ingestion time is unknown."""
        unknown = [times == UNKNOWN_MS for times in self.ingested_ms.values()]
        return int(np.any(unknown, axis=0).sum()) if unknown else 0


def get_historical_features(
    rows: pa.Table,
    feature_set: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    sources: Mapping[str, HistorySource],
    *,
    use_stale: bool = False,
    known_at: KnownAt | None = None,
) -> FeatureValues:
    """Return the values that `feature_set` had for each row at the time of the row.

    Args:
        rows: one column per entity type, named like it, and `event_time`. Ids and times are parsed
            as in loading; a row without an id has no record, and every row needs a time.
            Columns named like request-time features supply the values of those.
        feature_set: the features to return, in order.
        views: the views of the feature set, and those that its computed features read.
        sources: by view, written `name@version`.
        use_stale: keep a value older than its max age together with its status, as serving does;
            otherwise the default replaces it, or it is missing.
        known_at: the time by which records must have been ingested, for which some file of each
            view must have ingestion times; a record without one counts as known at its event time.
            None for no limit: a record counts from its event time on, however late it was loaded.

    Raises:
        InvalidInputError: a column is missing or duplicated, a value of the rows or a file of
            the history is unusable, or the feature set does not fit the views.
        NotFoundError: a view has no source, or its files do not exist.
    """
    if known_at is not None:
        sources = {
            name: replace(source, needs_ingestion_times=True) for name, source in sources.items()
        }
    return read_history(
        rows, feature_set, views, sources, use_stale=use_stale, known_at=known_at
    ).values


def read_history(
    rows: pa.Table,
    feature_set: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    sources: Mapping[str, HistorySource],
    *,
    use_stale: bool,
    known_at: KnownAt | None,
) -> HistoricalFeatures:
    """Return the values of `get_historical_features`, with the ingestion of their records."""
    features = [column.feature for column in columns_of(feature_set, views)]
    plan = compile_plan(feature_set, views, column_specs(feature_set, views))
    _check_columns(rows, plan)
    at_ms = _times_ms(rows)
    records = [
        latest_records(view, _asked_ids(rows, view), at_ms, _source_of(view, sources), known_at)
        for view in plan.views
    ]
    assembled = plan.assemble(
        records,
        _request_features(rows, plan, views),
        now_s=at_ms / 1000.0,
        rows=len(rows),
    )
    # A feature named like an entity, or like the time, does not take the place of that column.
    names = column_names(feature_set, {view.entity for view in plan.views} | {AT_COLUMN})
    found = values_of(names, assembled, len(rows))
    if not use_stale:
        for place, feature in enumerate(features):
            _replace_stale(feature, found.columns[place], found.statuses[:, place])
    return HistoricalFeatures(
        found,
        {
            str(view): _ingested_ms(view, of_view)
            for view, of_view in zip(plan.views, records, strict=True)
        },
    )


def _ingested_ms(view: FeatureView, records: Sequence[bytes | None]) -> npt.NDArray[np.int64]:
    form = record_format(view)
    times = (NO_RECORD if each is None else ingestion_time_ms_of(form, each) for each in records)
    return np.fromiter(times, dtype=np.int64, count=len(records))


def _replace_stale(
    feature: Feature, column: npt.NDArray[Any], statuses: npt.NDArray[np.uint8]
) -> None:
    stale = statuses == FeatureStatus.STALE
    if not stale.any():
        return
    status = status_when_absent(feature)
    statuses[stale] = status
    default = feature.default
    if default is not None:
        column[stale] = default.encode() if isinstance(default, str) else default
    elif column.dtype.kind == "f":
        column[stale] = np.nan


def _asked_ids(rows: pa.Table, view: FeatureView) -> list[str | None]:
    """Return the id of each row; None if it is absent, or no record can have it."""
    column = plain(rows[view.entity])
    ids = id_texts(column, view.key)
    if pa.types.is_string(column.type) and view.key is KeyKind.TEXT:
        return ids
    absent = column.is_null(nan_is_null=True).to_pylist()
    lost = [row for row, each in enumerate(ids) if each is None and not absent[row]]
    if lost:
        raise InvalidInputError([_fault_of_rows(view.entity, column, lost, accepted_id(view.key))])
    return ids


def _times_ms(rows: pa.Table) -> npt.NDArray[np.int64]:
    column = plain(rows[AT_COLUMN])
    times = times_of(column)
    if times.unusable.any():
        # A row without a time would otherwise be answered from the future of the others.
        lost = np.flatnonzero(times.unusable).tolist()
        raise InvalidInputError([_fault_of_rows(AT_COLUMN, column, lost, ACCEPTED_TIME)])
    return times.ms


def _fault_of_rows(name: str, column: pa.Array, lost: Sequence[int], accepted: str) -> Fault:
    read = f"{len(lost)} unusable of {len(column)}, the first in row {lost[0]}: "
    return Fault(f"rows.{name}", read + shown(column, lost[0]), accepted)


def _check_columns(rows: pa.Table, plan: AssemblyPlan) -> None:
    wanted = dict.fromkeys([*(view.entity for view in plan.views), AT_COLUMN])
    missing = [name for name in wanted if name not in rows.column_names]
    if missing:
        raise InvalidInputError.of(
            "rows",
            read=f"columns {', '.join(rows.column_names)}",
            accepted=f"rows that also have {', '.join(missing)}",
        )
    names = [*wanted, *(name for name in plan.names if plan.takes_from_request(name))]
    if twice := [name for name in names if rows.column_names.count(name) > 1]:
        read = f"more than one column {', '.join(twice)}"
        raise InvalidInputError.of("rows", read=read, accepted="each column once")


def _source_of(view: FeatureView, sources: Mapping[str, HistorySource]) -> HistorySource:
    """Return the source of a family of its own, if it has one, or that of its whole view."""
    source = sources.get(str(view), sources.get(view.definition))
    if source is None:
        raise NotFoundError("history source of feature view", view.definition)
    return source


def _request_features(
    rows: pa.Table, plan: AssemblyPlan, views: Sequence[FeatureView]
) -> list[dict[str, FeatureScalar]] | None:
    """Return the values of request-time features that `rows` supply, per row."""
    features = {
        feature.name: feature
        for view in views
        if view.kind is ViewKind.REQUEST
        for feature in view.features
        if feature.name in rows.column_names and plan.takes_from_request(feature.name)
    }
    if not features:
        return None
    given: list[dict[str, FeatureScalar]] = [{} for _ in range(len(rows))]
    faults: list[Fault] = []
    for name, feature in features.items():
        column = plain(rows[name])
        found = column_values(feature, column)
        if found.unusable.any():
            lost = np.flatnonzero(found.unusable).tolist()
            faults.append(_fault_of_rows(name, column, lost, found.accepted))
        for row in np.flatnonzero(found.present).tolist():
            given[row][name] = _scalar_of(feature, found.values[row])
    if faults:
        raise InvalidInputError(faults)
    return given


def _scalar_of(feature: Feature, value: Any) -> FeatureScalar:
    if feature.dtype is FeatureDtype.STRING:
        return str(value.decode())
    number: FeatureScalar = value.item()
    return bool(number) if feature.dtype is FeatureDtype.BOOL else number
