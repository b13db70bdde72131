"""Historical feature values: a point-in-time join over Parquet, executed by DuckDB.

For each row (entities, time), the latest record at or before the time is packed and assembled by
the code that serves requests, so training reads exactly what serving would have answered.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import (
    Feature,
    FeatureRef,
    FeatureScalar,
    FeatureStatus,
    FeatureView,
    ViewKind,
)
from understudy.features.decisions.feature_columns import columns_of
from understudy.features.decisions.statuses import status_when_absent
from understudy.features.loading.latest_records import HistorySource, latest_records
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
        rows: one column per entity type, named like it, and `event_time`, UTC. Columns named like
            request-time features supply the values of those.
        feature_set: the features to return, in order.
        views: the views of the feature set, and those that its computed features read.
        sources: by view, written `name@version`.
        use_stale: keep a value older than its max age together with its status, as serving does;
            otherwise the default replaces it, or it is missing.

    Raises:
        InvalidInputError: a column is missing, or the feature set does not fit the views.
        NotFoundError: a view has no source, or its files do not exist.
    """
    features = [column.feature for column in columns_of(feature_set, views)]
    plan = compile_plan(feature_set, views, column_specs(feature_set, views))
    _check_columns(rows, plan)
    at_ms = rows[AT_COLUMN].cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).to_numpy()
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
    asked = pa.table(
        {
            "place": np.arange(len(rows)),
            "entity": rows[view.entity].cast(pa.string()),
            "at_ms": at_ms,
        }
    )
    try:
        return latest_records(view, asked, source)
    except duckdb.IOException as error:
        raise NotFoundError("history", f"{source.files} of {view}") from error
    except (duckdb.BinderException, duckdb.ConversionException) as error:
        first_line = str(error).splitlines()[0]
        raise InvalidInputError.of(
            f"history of {view}", read=first_line, accepted="a column per feature, of its dtype"
        ) from error


def _check_columns(rows: pa.Table, plan: AssemblyPlan) -> None:
    wanted = dict.fromkeys([*(view.entity for view in plan.views), AT_COLUMN])
    missing = [name for name in wanted if name not in rows.column_names]
    if missing:
        raise InvalidInputError.of(
            "rows",
            read=f"columns {', '.join(rows.column_names)}",
            accepted=f"rows that also have {', '.join(missing)}",
        )
    if not pa.types.is_timestamp(rows.schema.field(AT_COLUMN).type):
        read = str(rows.schema.field(AT_COLUMN).type)
        raise InvalidInputError.of(f"rows.{AT_COLUMN}", read=read, accepted="timestamps")


def _source_of(view: FeatureView, sources: Mapping[str, HistorySource]) -> HistorySource:
    if str(view) not in sources:
        raise NotFoundError("history source of feature view", view)
    return sources[str(view)]


def _request_features(
    rows: pa.Table, plan: AssemblyPlan, views: Sequence[FeatureView]
) -> list[dict[str, FeatureScalar]] | None:
    """Return the values of request-time features that `rows` supply, per row."""
    names = [
        feature.name
        for view in views
        if view.kind is ViewKind.REQUEST
        for feature in view.features
        if feature.name in rows.column_names and plan.takes_from_request(feature.name)
    ]
    if not names:
        return None
    given = rows.select(names).to_pylist()
    return [{name: value for name, value in each.items() if value is not None} for each in given]
