"""The rows in the logs that were sent to a shadow, with their outcomes where known."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.ordered_rows import (
    BY_UNIT,
    DAY,
    IN_RANGE,
    UNIT,
    arrays_of,
    read_ordered,
)
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
    OF_OUTCOME,
    REPORTED_AGAIN,
    TRUTH,
    USES,
    asked_again,
    is_usable,
    keep_uses,
    outcome_census,
    repeated,
)
from understudy.statistics.distributions import quantiles_of_counts
from understudy.statistics.units import units_of

_LATENCY_LEVELS = (0.5, 0.9, 0.99)


def read_evidence(engine: Engine, question: Question, pair: VersionPair) -> Evidence:
    """Return the rows that were sent to the shadow of `pair`, one per request, and the counts."""
    chosen = question.parameters() | {"shadow": pair.shadow, "champion": pair.champion}
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


def _sent_rows(engine: Engine) -> tuple[PairedRows, NDArray[np.bool_]]:
    """Return the rows that were sent, ordered by unit, and whether each was lost."""
    count = engine.rows(_SENT_COUNT)[0]["rows"]
    found = read_ordered(
        engine,
        _SENT,
        _SENT_KEYS,
        count,
        {
            "champion": np.float64,
            "shadow": np.float64,
            "label": np.float64,
            "day": np.int32,
            "is_lost": np.bool_,
        },
    )
    is_lost = found.pop("is_lost")
    return PairedRows(**found), is_lost


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
           status = 'ok' AND {is_usable("score")} AND {is_usable("shadow_score")} AS usable
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

_PAIRED = f"""
    SELECT id, use, candidate, unit, at_utc, champion_score AS champion, shadow_score AS shadow,
           {OF_OUTCOME}
    FROM {ASKED} AS asked LEFT JOIN truth USING (id, use)
    WHERE usable AND rank = 1
"""  # noqa: S608 - as above

# Per request and candidate: lost, if no row of it can be compared. The champion's score is known.
_LOST = f"""
    SELECT id, use, candidate, unit, max(at_utc) AS at_utc,
           arg_max(champion_score, at_utc) AS champion,
           first(label) FILTER (
               candidate = 0 AND {is_usable("label")} AND NOT coalesce(at_utc >= $matured_before::TIMESTAMP, false)
           ) AS label
    FROM {ASKED} AS asked ANTI JOIN paired USING (id, use, candidate, unit)
    LEFT JOIN truth USING (id, use)
    WHERE NOT usable AND {is_usable("champion_score")}
    GROUP BY id, use, candidate, unit
"""  # noqa: S608 - as above

_SENT_KEYS = "(SELECT unit, id FROM paired UNION ALL SELECT unit, id FROM lost)"
_SENT_COUNT = f"SELECT count(*) AS rows FROM {_SENT_KEYS}"  # noqa: S608 - as above

_SENT = f"""
    WITH sent AS (
        SELECT unit, id, use, candidate, champion, shadow, label, at_utc, false AS is_lost FROM paired
        UNION ALL
        SELECT unit, id, use, candidate, champion, NULL, label, at_utc, true FROM lost
    )
    SELECT champion, coalesce(shadow, 'nan'::DOUBLE) AS shadow,
           coalesce(label, 'nan'::DOUBLE) AS label,
           {DAY}, is_lost, {UNIT}
    FROM sent WHERE {IN_RANGE} {BY_UNIT}
"""  # noqa: S608 - as above

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

_OUTCOME_CENSUS = outcome_census("paired")

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
