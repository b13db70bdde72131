"""Training-serving skew, measured: logged vectors against the history of the same entity and time.

This module knows the score log only by its path and column names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.logged_ids import LoggedIds
from understudy.features.decisions.event_times import times_of
from understudy.features.decisions.feature_columns import column_names
from understudy.features.decisions.ingestion_times import KnownWhenAsked
from understudy.features.decisions.parity import (
    FeatureParity,
    Numbers,
    has_values_of_store,
    parity_of,
)
from understudy.features.history.compared_features import why_not_compared
from understudy.features.history.history import AT_COLUMN, HistoricalFeatures, read_history
from understudy.features.history.log_files import (
    INTEGERS,
    TYPES,
    condition_of_scored,
    open_log,
    quoted,
)
from understudy.features.history.served_columns import ScoreLog, as_served, served_columns
from understudy.features.history.stored_times import ReadStored, with_stored_times
from understudy.features.loading.history_files import HistorySource, entity_ids_in
from understudy.runtime.files_by_ids import FilesOfIds

VISIBLE_AFTER_S = 5.0  # a store needs this long at most to answer with what was written


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of an audit."""

    logged_rows: int  # with a vector
    unknown_rows: int  # without one, although a version answered: nothing can be said of them
    matched_rows: int  # rows whose entity is in the history
    unmatched_rows: int  # others with values of the store: which entity they are of is not known
    rows_of_unknown_ingestion: int  # matched rows in which a late record would count as skew
    other_ids: tuple[FilesOfIds, ...]  # files left out: they state another form or key of ids
    features: tuple[FeatureParity, ...]
    left_out: tuple[str, ...]  # features that were not compared, each with the reason

    @property
    def mismatch_rate(self) -> float:
        """The share of compared values that differ; 0 if none was compared."""
        compared = sum(feature.compared for feature in self.features)
        return sum(feature.mismatches for feature in self.features) / compared if compared else 0.0


def audit_features(
    log: ScoreLog,
    feature_set: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    sources: Mapping[str, HistorySource],
    *,
    entity: str,
    keys: LoggedIds,
    max_rows: int = 100_000,
    tolerance: float = 0.0,
    worst: int = 3,
    visible_after_s: float = VISIBLE_AFTER_S,
    read_stored: ReadStored | None = None,
) -> AuditReport:
    """Compare served values with the values that the history gives for the same time.

    A value that equals the history as known then, without the records that were ingested later,
    is late and no skew.

    Args:
        log: the log of one model version; its vectors have the columns of `feature_set`.
        feature_set: the feature set of that version.
        views: the views of the feature set.
        sources: the history of each view, by `name@version`.
        entity: the entity type of the log's keys. Features of other entity types have no key
            in the log and are not compared.
        keys: the rule by which the log contains ids.
        max_rows: the largest number of rows to compare, spread evenly over the log.
        tolerance: relative difference up to which two numbers count as equal.
        worst: number of cases to keep per feature.
        visible_after_s: a record may be answered from its ingestion on, and is by this much later.
        read_stored: reads records of a store, for ingestion times that the history lacks.

    Raises:
        InvalidInputError: the log lacks these columns, or its vectors have another width, or all of
            its files state another form or key of ids than `keys`.
        NotFoundError: there are no log files, or there is no history.
    """
    logged, unknown_rows, other_ids = _read_log(log, keys, max_rows)
    names = column_names(feature_set)
    why_not = [why_not_compared(ref, views, entity) for ref in feature_set]
    compared = [place for place, why in enumerate(why_not) if why is None]
    if not compared:
        raise InvalidInputError.of("entity", read=entity, accepted="an entity of the feature set")
    served, statuses = served_columns(logged, log, width=len(feature_set))
    ids = _ids_by_key(entity, views, sources, keys)
    found = [ids.get(key) for key in logged["key"].to_pylist()]
    matched = np.array([each is not None for each in found], dtype=np.bool_)
    rows = pa.table(
        {
            entity: pa.array([each for each in found if each is not None], pa.string()),
            AT_COLUMN: logged["at_utc"].filter(pa.array(matched)),
        }
    )
    if read_stored is not None:
        sources = with_stored_times(sources, views, entity, rows[entity].to_pylist(), read_stored)
    refs = [feature_set[place] for place in compared]
    history = read_history(rows, refs, views, sources, use_stale=True, known_at=None)
    columns = [served[place][matched] for place in compared]
    expected = [
        as_served(column, of.dtype)
        for column, of in zip(history.values.columns, columns, strict=True)
    ]
    known = _known_then(history, expected, rows, refs, views, sources, visible_after_s)
    return AuditReport(
        logged_rows=len(logged),
        unknown_rows=unknown_rows,
        matched_rows=len(rows),
        unmatched_rows=int(has_values_of_store(statuses[:, compared])[~matched].sum()),
        rows_of_unknown_ingestion=history.rows_of_unknown_ingestion,
        other_ids=other_ids,
        features=tuple(
            parity_of(
                names[place],
                as_served(columns[at], expected[at].dtype),
                statuses[matched, place],
                expected=expected[at],
                known=known[at],
                keys=rows[entity].to_pylist(),
                tolerance=tolerance,
                worst=worst,
            )
            for at, place in enumerate(compared)
        ),
        left_out=tuple(
            f"{name} ({why})" for name, why in zip(names, why_not, strict=True) if why is not None
        ),
    )


def _known_then(
    history: HistoricalFeatures,
    expected: Sequence[Numbers],
    rows: pa.Table,
    refs: Sequence[FeatureRef],
    views: Sequence[FeatureView],
    sources: Mapping[str, HistorySource],
    visible_after_s: float,
) -> list[Numbers]:
    """Return the expected values as known at the time of each row.

    They can differ only where a record was ingested after it: only these rows are read again.
    """
    at_ms = times_of(rows[AT_COLUMN]).ms
    delay_ms = round(visible_after_s * 1000)
    known = [column.copy() for column in expected]
    is_late = np.zeros(len(rows), dtype=np.bool_)
    for ingested_ms in history.ingested_ms.values():
        is_late |= ingested_ms > at_ms - delay_ms
    if is_late.any():
        then = read_history(
            rows.filter(pa.array(is_late)),
            refs,
            views,
            sources,
            use_stale=True,
            known_at=KnownWhenAsked(delay_ms),
        )
        for column, found in zip(known, then.values.columns, strict=True):
            column[is_late] = as_served(found, column.dtype)
    return known


def audit_faults(
    report: AuditReport, *, max_mismatch_rate: float, max_unknown_rate: float
) -> list[str]:
    """Return the violations of the limits, one text per kind. Unknown is not the same as equal."""
    rows = report.logged_rows + report.unknown_rows
    found = {
        f"served values differ from the history in more than {max_mismatch_rate:g} of the rows": [
            each.name for each in report.features if each.mismatch_rate > max_mismatch_rate
        ],
        "never read from the store, although the history has values": [
            each.name for each in report.features if each.is_only_replaced
        ],
        f"unknown in more than {max_unknown_rate:g} of the rows": [
            each.name
            for each in report.features
            if each.unknown > max_unknown_rate * report.matched_rows
        ],
    }
    if report.unmatched_rows > max_unknown_rate * report.logged_rows:
        read = f"{report.unmatched_rows} of {report.logged_rows}"
        found["rows with values of the store whose entity is not in the history"] = [read]
    if report.unknown_rows > max_unknown_rate * rows:
        found["rows without values"] = [f"{report.unknown_rows} of {rows}"]
    return [f"{kind}: {', '.join(names)}" for kind, names in found.items() if names]


def _read_log(
    log: ScoreLog, keys: LoggedIds, max_rows: int
) -> tuple[pa.Table, int, tuple[FilesOfIds, ...]]:
    """Return sampled rows with a vector, the number of rows that lack one, and the files left out."""
    vector = quoted(log.vector_column)
    columns = f"""
        CAST({quoted(log.key_column)} AS VARCHAR) AS key, {quoted(log.time_column)} AS at_utc,
        CAST({vector} AS DOUBLE[]) AS vector, {INTEGERS} AS integers,
        array_to_string({TYPES}, ',') AS types,
        CAST({quoted(log.statuses_column)} AS UTINYINT[]) AS statuses
    """
    condition = f"AND ({log.where})" if log.where else ""
    rows = f"FROM log WHERE {vector} IS NOT NULL {condition}"
    with open_log(log.files, keys) as logged:
        other_ids = tuple(logged.other_ids)
        (count,) = logged.table(f"SELECT count(*) AS n {rows}")["n"].to_pylist()
        without = f"FROM log WHERE {vector} IS NULL {condition} AND {condition_of_scored(logged)}"
        (unknown,) = logged.table(f"SELECT count(*) AS n {without}")["n"].to_pylist()
        step = -(-count // max_rows) or 1
        # Rows are numbered as they stream by, so rows that are not sampled are never held.
        sampled = logged.table(f"""
            SELECT * EXCLUDE __row FROM (
                SELECT {columns}, row_number() OVER () - 1 AS __row {rows}
            ) WHERE __row % {step} = 0
        """)  # noqa: S608 - as above
    return sampled, unknown, other_ids


def _ids_by_key(
    entity: str,
    views: Sequence[FeatureView],
    sources: Mapping[str, HistorySource],
    keys: LoggedIds,
) -> dict[str, str]:
    """Return the entity ids of the history, by their keys in the log."""
    ids: set[str] = set()
    for view in views:
        source = sources.get(str(view))
        if view.entity == entity and source is not None:
            ids |= entity_ids_in(view, source)
    listed = list(ids)
    return dict(zip(keys.written(listed), listed, strict=True))
