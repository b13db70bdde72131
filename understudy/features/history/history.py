"""Historical feature values: a point-in-time join, executed by DuckDB.

For each row (entities, time), the latest record at or before the time is packed and assembled by
the code that serves requests, so training reads exactly what serving would have answered.
"""

from collections.abc import Mapping, Sequence
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
from understudy.features.decisions.feature_columns import columns_of
from understudy.features.decisions.statuses import status_when_absent
from understudy.features.loading.history_files import HistorySource
from understudy.features.loading.latest_records import latest_records
from understudy.features.serving.assembly import AssemblyPlan, compile_plan
from understudy.features.serving.feature_values import FeatureValues, column_specs, values_of

AT_COLUMN = "event_time"  # the column with the time for which values are asked


def get_historical_features(
    rows: pa.Table,
    feature_set: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    sources: Mapping[str, HistorySource],
    *,
    use_stale: bool = False,
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

    Raises:
        InvalidInputError: a column is missing or duplicated, a value of the rows or a file of
            the history is unusable, or the feature set does not fit the views.
        NotFoundError: a view has no source, or its files do not exist.
    """
    features = [column.feature for column in columns_of(feature_set, views)]
    plan = compile_plan(feature_set, views, column_specs(feature_set, views))
    _check_columns(rows, plan)
    at_ms = _times_ms(rows)
    records = [_records_at(view, rows, at_ms, _source_of(view, sources)) for view in plan.views]
    assembled = plan.assemble(
        records,
        _request_features(rows, plan, views),
        now_s=at_ms / 1000.0,
        rows=len(rows),
    )
    found = values_of(plan.names, assembled, len(rows))
    if not use_stale:
        for place, feature in enumerate(features):
            _replace_stale(feature, found.columns[place], found.statuses[:, place])
    return found


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


def _records_at(
    view: FeatureView, rows: pa.Table, at_ms: npt.NDArray[np.int64], source: HistorySource
) -> list[bytes | None]:
    """Return the packed record of each row's entity at the time of the row; None if there is none."""
    return latest_records(view, _asked_ids(rows, view), at_ms, source)


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
    if str(view) not in sources:
        raise NotFoundError("history source of feature view", view)
    return sources[str(view)]


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
