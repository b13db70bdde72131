"""The rows in the logs that were sent to a shadow, with their outcomes where known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.rows import (
    Evidence,
    Latency,
    OutcomeCensus,
    PairedRows,
    Question,
    RowCensus,
    VersionPair,
    WorstPair,
)
from understudy.comparison.evidence.uses import (
    ASKED,
    KEYS,
    REPORTED_AGAIN,
    TRUTH,
    USES,
    asked_again,
    repeated,
)
from understudy.comparison.evidence.version_pairs import question_parameters
from understudy.statistics.distributions import quantiles_of_counts
from understudy.statistics.units import units_of

_LATENCY_LEVELS = (0.5, 0.9, 0.99)


def read_evidence(engine: Engine, question: Question, pair: VersionPair) -> Evidence:
    """Return the rows that were sent to the shadow of `pair`, one per request, and the counts."""
    chosen = question_parameters(question) | {"shadow": pair.shadow, "champion": pair.champion}
    of_model = {"model": question.model}
    engine.keep("logged", _LOGGED, chosen)
    engine.keep(
        "repeated", _REPEATED, {k: chosen[k] for k in ("model", "shadow", "champion", "since")}
    )
    keep_uses(engine, question, _ASKED_AGAIN)
    engine.keep("truth", TRUTH, of_model)
    engine.keep("paired", _PAIRED, {"matured_before": question.matured_before})
    engine.keep("lost", _LOST, {"matured_before": question.matured_before})
    rows, is_lost = _sent_rows(engine)
    compared = rows.unit if not is_lost.any() else rows.unit[~is_lost]
    census = RowCensus(**engine.rows(_ROW_CENSUS)[0], units=0)
    return Evidence(
        rows=rows,
        is_lost=is_lost,
        census=replace(census, units=units_of(compared).count),
        outcomes=OutcomeCensus(**engine.rows(_OUTCOME_CENSUS)[0]),
        latency=_latencies(engine, chosen, pair),
        worst=tuple(WorstPair(**row) for row in engine.rows(_WORST, of_model)),
    )


def keep_uses(engine: Engine, question: Question, rows_asked_again: str) -> None:
    """Keep the tables `uses`, `asked_again` and `reported_again` of `logged` and `repeated`."""
    engine.keep("uses", USES, {"model": question.model, "since": question.since})
    engine.keep("asked_again", rows_asked_again, {})
    engine.keep("reported_again", REPORTED_AGAIN, {"model": question.model})


def arrays_of(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return the columns of a table by name."""
    return {name: table[name].to_numpy() for name in table.column_names}


def _sent_rows(engine: Engine) -> tuple[PairedRows, NDArray[np.bool_]]:
    """Return the rows that were sent, ordered by unit, and whether each was lost.

    They are read a part at a time into their final arrays.
    """
    count = engine.rows(_SENT_COUNT)[0]["rows"]
    champion, shadow, label = (np.empty(count) for _ in range(3))
    unit, day = np.empty(count, np.int32), np.empty(count, np.int32)
    is_lost = np.empty(count, np.bool_)
    before, number, start = (0, 0), -1, 0
    for batch in engine.batches(_SENT):
        end = start + batch.num_rows
        for name, column in (
            ("champion", champion),
            ("shadow", shadow),
            ("label", label),
            ("day", day),
            ("is_lost", is_lost),
        ):
            column[start:end] = batch[name].to_numpy(zero_copy_only=False)
        high, low = (batch[name].to_numpy() for name in ("unit_high", "unit_low"))
        is_new = (np.diff(high, prepend=high[:1]) != 0) | (np.diff(low, prepend=low[:1]) != 0)
        is_new[:1] = number < 0 or before != (int(high[0]), int(low[0]))
        unit[start:end] = number + np.cumsum(is_new)
        before, number, start = (int(high[-1]), int(low[-1])), int(unit[end - 1]), end
    return PairedRows(champion, shadow, unit, label, day), is_lost


def _latencies(engine: Engine, chosen: dict[str, object], pair: VersionPair) -> tuple[Latency, ...]:
    found = []
    for role, version in (("champion", pair.champion), ("shadow", pair.shadow)):
        counted = arrays_of(engine.table(_LATENCY, chosen | {"role": role}))
        quantiles = quantiles_of_counts(counted["time_us"], counted["rows"], _LATENCY_LEVELS)
        rows = int(counted["rows"].sum())
        if rows:
            found.append(Latency(version, rows, *quantiles))
    return tuple(found)


_LOGGED = f"""
    SELECT {KEYS}, at_utc, status, score AS champion_score, shadow_score, infer_us,
           status = 'ok' AND isfinite(score) AND coalesce(isfinite(shadow_score), false) AS usable
    FROM shadow
    WHERE model = $model AND shadow_version = $shadow AND version = $champion
      AND status NOT IN ('sampled_out', 'defaulted')  -- left out by declaration, not lost
      AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
      AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
"""  # noqa: S608 - texts of ours

_REPEATED = repeated("shadow", "shadow_version = $shadow AND version = $champion")

_ASKED_AGAIN = asked_again(
    ", status", "at_utc DESC, champion_score, shadow_score", counted="usable"
)

# The outcome of a row that is too young is left out: those that have arrived are not typical.
_PAIRED = f"""
    WITH rows AS (
        SELECT asked.*, reports, conflicts, observed_at_utc, label,
               rows_of_use > 1 AND candidate = 0 AS is_of_several_units,
               coalesce(at_utc >= $matured_before::TIMESTAMP, false) AS is_immature
        FROM {ASKED} AS asked LEFT JOIN truth USING (id, use)
        WHERE usable AND rank = 1
    )
    SELECT id, use, candidate, unit, at_utc, champion_score AS champion, shadow_score AS shadow,
           CASE WHEN candidate = 0 AND NOT is_of_several_units AND NOT is_immature
                THEN label END AS label,
           reports, conflicts, observed_at_utc < at_utc AS is_observed_before,
           is_of_several_units, is_immature
    FROM rows
"""  # noqa: S608 - as above

# Per request and candidate: lost, if no row of it can be compared. The champion's score is known.
_LOST = f"""
    SELECT id, use, candidate, unit, max(at_utc) AS at_utc,
           arg_max(champion_score, at_utc) AS champion,
           first(label) FILTER (
               candidate = 0 AND NOT coalesce(at_utc >= $matured_before::TIMESTAMP, false)
           ) AS label
    FROM {ASKED} AS asked ANTI JOIN paired USING (id, use, candidate, unit)
    LEFT JOIN truth USING (id, use)
    WHERE NOT usable AND isfinite(champion_score)
    GROUP BY id, use, candidate, unit
"""  # noqa: S608 - as above

_SENT_COUNT = "SELECT (SELECT count(*) FROM paired) + (SELECT count(*) FROM lost) AS rows"

_SENT = """
    WITH sent AS (
        SELECT unit, id, use, candidate, champion, shadow, label, at_utc, false AS is_lost FROM paired
        UNION ALL
        SELECT unit, id, use, candidate, champion, NULL, label, at_utc, true FROM lost
    )
    SELECT champion, coalesce(shadow, 'nan'::DOUBLE) AS shadow,
           coalesce(label, 'nan'::DOUBLE) AS label,
           datediff('day', DATE '1970-01-01', at_utc::DATE)::INTEGER AS day, is_lost,
           (unit >> 64)::UBIGINT AS unit_high, (unit & 18446744073709551615)::UBIGINT AS unit_low
    FROM sent ORDER BY unit, id, use, candidate
"""

_ROW_CENSUS = f"""
    WITH again AS (SELECT id, use FROM asked_again WHERE usable AND rank = 1)
    SELECT count(*) FILTER (status = 'ok') AS ok,
           count(*) FILTER (status = 'error') AS error,
           count(*) FILTER (status = 'timeout') AS timeout,
           count(*) FILTER (status = 'ok' AND rank > 1) AS duplicates,
           count(*) FILTER (status = 'ok' AND rank = 1 AND NOT usable) AS not_finite,
           count(*) FILTER (usable AND rank = 1) AS pairs,
           count(*) FILTER (usable AND rank = 1) - (SELECT count(*) FROM again)
               + (SELECT count(*) FROM (SELECT DISTINCT * FROM again)) AS requests,
           (SELECT count(*) FROM (SELECT DISTINCT * FROM again))
               - (SELECT count(DISTINCT id) FROM again) AS reused_ids
    FROM {ASKED}
"""  # noqa: S608 - as above

_OUTCOME_CENSUS = """
    SELECT count(label) AS matched,
           count(*) FILTER (label IS NULL) AS unmatched_pairs,
           coalesce(sum(reports - 1) FILTER (label IS NOT NULL), 0)::BIGINT AS duplicates,
           count(*) FILTER (label IS NOT NULL AND conflicts) AS conflicting,
           count(*) FILTER (label IS NOT NULL AND is_observed_before) AS observed_before_answer,
           count(*) FILTER (label IS NOT NULL AND label NOT IN (0, 1)) AS not_binary,
           count(*) FILTER (candidate <> 0 AND reports IS NOT NULL) AS of_candidates,
           count(*) FILTER (is_of_several_units AND reports IS NOT NULL) AS of_several_units,
           count(*) FILTER (is_immature) AS immature
    FROM paired
"""

# The texts of ids are read again, for these rows only.
_WORST = f"""
    WITH worst AS (
        SELECT * FROM paired ORDER BY abs(shadow - champion) DESC, id, use, candidate LIMIT 10
    ),
    texts AS MATERIALIZED (
        SELECT DISTINCT request_id, candidate_id, {KEYS}
        FROM shadow WHERE model = $model AND at_utc IN (SELECT at_utc FROM worst)
    )
    SELECT request_id, candidate_id, at_utc AS at, champion, shadow, label
    FROM worst JOIN texts USING (id, unit, candidate)
    ORDER BY abs(shadow - champion) DESC, request_id, use, candidate_id NULLS FIRST
"""  # noqa: S608 - as above

# Of rows that reached a model: those of rules and of the ladder have no round trip.
_LATENCY = """
    WITH trips AS (
        SELECT infer_us FROM score
        WHERE $role = 'champion' AND model = $model AND version = $champion
          AND level < 2 AND rule IS NULL
          AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
          AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
        UNION ALL
        SELECT infer_us FROM logged WHERE $role = 'shadow' AND $shadow IS NOT NULL AND usable
    )
    SELECT infer_us::BIGINT AS time_us, count(*) AS rows FROM trips GROUP BY ALL ORDER BY time_us
"""

QUERIES = {
    "rows of the pair": _LOGGED,
    "ids with several rows or uses": _REPEATED,
    "uses of these ids": USES,
    "rows of these ids, by use": _ASKED_AGAIN,
    "requests with several outcomes": REPORTED_AGAIN,
    "outcomes by use": TRUTH,
    "pairs": _PAIRED,
    "rows that were lost": _LOST,
    "counts of rows": _ROW_CENSUS,
    "counts of outcomes": _OUTCOME_CENSUS,
    "rows sent to the shadow": _SENT,
    "largest differences": _WORST,
    "latency": _LATENCY,
}
