"""The rows of live traffic by the arm to which their units were assigned, with outcomes."""

import numpy as np

from understudy.comparison.evidence.arm_pairs import PAIRS, SPLITS
from understudy.comparison.evidence.arm_rows import (
    NO_OUTCOMES,
    NO_ROWS,
    ArmCensus,
    ArmEvidence,
    ArmPair,
    AssignedRows,
    Step,
)
from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.ordered_rows import BY_UNIT, DAY, IN_RANGE, UNIT, read_ordered
from understudy.comparison.evidence.rows import OutcomeCensus, Question
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
from understudy.statistics.sample_ratio import StepOfUnits


def read_arms(engine: Engine, question: Question, pair: ArmPair) -> ArmEvidence:
    """Return the rows that were assigned to either arm, one per request (and candidate)."""
    chosen = question.parameters() | {"challenger": pair.challenger, "champion": pair.champion}
    engine.keep("chosen", _CHOSEN, chosen)
    engine.keep("logged", _LOGGED, {"model": question.model, "challenger": pair.challenger})
    engine.keep("repeated", _REPEATED, {"model": question.model, "since": question.since})
    keep_uses(engine, question, _ASKED_AGAIN)
    engine.keep("truth", TRUTH, {"model": question.model})
    engine.keep("assigned", _ASSIGNED, {"matured_before": question.matured_before})
    census = _census(engine)
    first_seen = [StepOfUnits(**row) for row in engine.rows(_FIRST_SEEN)]
    champion, challenger = census.get(False, NO_ROWS), census.get(True, NO_ROWS)
    count = champion.rows + challenger.rows
    rows = read_ordered(engine, _ROWS, COMPARED, count, _COLUMNS)
    return ArmEvidence(
        champion=champion,
        challenger=challenger,
        steps=tuple(Step(**row) for row in engine.rows(_STEPS)),
        first_seen=tuple(first_seen),
        in_both=engine.rows(_IN_BOTH)[0]["units"],
        rows=AssignedRows(**rows),
    )


def _census(engine: Engine) -> dict[bool, ArmCensus]:
    truths = {
        row.pop("is_challenger"): OutcomeCensus(**row) for row in engine.rows(_OUTCOME_CENSUS)
    }
    return {
        is_challenger: ArmCensus(**row, outcomes=truths.get(is_challenger, NO_OUTCOMES))
        for row in engine.rows(_CENSUS)
        for is_challenger in [row.pop("is_challenger")]
    }


_CHOSEN = f"""
    SELECT revision, weight_bp, champion_bp, $since AS since, $until AS until FROM ({SPLITS})
    WHERE challenger = $challenger AND coalesce(champion, $champion) = $champion
      AND champion_bp > 0
"""  # noqa: S608 - texts of ours

# The rows of a revision without a row of the challenger say nothing about it.
_LOGGED = f"""
    SELECT {KEYS}, at_utc, score, level, revision, total_us, assigned_bp,
           assigned_arm = 'challenger' AS is_challenger, {is_usable("score")} AS usable,
           version <> assigned_version OR arm <> assigned_arm AS is_by_other,
           weight_bp, champion_bp
    FROM score JOIN chosen USING (revision)
    WHERE model = $model
      AND (assigned_arm = 'champion' OR assigned_version = $challenger)
      AND (since IS NULL OR (date >= since::DATE AND at_utc >= since::TIMESTAMP))
      AND (until IS NULL OR (date <= until::DATE AND at_utc < until::TIMESTAMP))
"""  # noqa: S608 - as above

_REPEATED = repeated("score", "true")

_ASKED_AGAIN = asked_again("", "at_utc DESC, score", counted="usable")

# The latest answer of a request counts, as the caller acted on it.
_ASSIGNED = f"""
    SELECT asked.* EXCLUDE (rank), {OF_OUTCOME}
    FROM {ASKED} AS asked LEFT JOIN truth USING (id, use)
    WHERE rank = 1
"""  # noqa: S608 - as above

_CENSUS = """
    SELECT is_challenger, count(*) FILTER (usable) AS rows,
           count(DISTINCT (id, use)) FILTER (usable) AS requests,
           count(DISTINCT unit) FILTER (usable) AS units,
           count(*) FILTER (usable AND is_by_other) AS answered_by_others,
           count(*) FILTER (usable AND level > 0) AS degraded,
           count(*) FILTER (NOT usable) AS not_finite
    FROM assigned GROUP BY is_challenger
"""

_OUTCOME_CENSUS = outcome_census("(FROM assigned WHERE usable)", by="is_challenger")

_STEPS = """
    SELECT weight_bp, min(at_utc) AS first_at, count(*) AS rows
    FROM assigned GROUP BY weight_bp ORDER BY first_at, weight_bp
"""

# A unit is drawn once: it counts for the split under which it first appears.
_FIRST_SEEN = """
    WITH first_rows AS (
        SELECT unit, arg_min(is_challenger, (at_utc, id)) AS is_challenger,
               arg_min(weight_bp / (weight_bp + champion_bp), (at_utc, id)) AS share,
               min(at_utc) AS first_at
        FROM assigned GROUP BY unit
    )
    SELECT count(*) FILTER (NOT is_challenger) AS champion,
           count(*) FILTER (is_challenger) AS challenger, share AS expected_share
    FROM first_rows GROUP BY share ORDER BY min(first_at), share
"""

_IN_BOTH = """
    SELECT count(DISTINCT unit) AS units FROM (
        SELECT unit FROM assigned GROUP BY unit, weight_bp, champion_bp
        HAVING count(DISTINCT is_challenger) > 1
    )
"""

_COLUMNS = {
    "is_challenger": np.bool_,
    "assigned_bp": np.uint16,
    "score": np.float64,
    "label": np.float64,
    "level": np.uint8,
    "total_us": np.uint32,
    "day": np.int32,
}
COMPARED = "(FROM assigned WHERE usable)"
"""The rows of `read_arms`."""
_ROWS = f"""
    SELECT is_challenger, assigned_bp::USMALLINT AS assigned_bp, score,
           coalesce(label, 'nan'::DOUBLE) AS label, level, total_us, {DAY}, {UNIT}
    FROM assigned WHERE usable AND {IN_RANGE} {BY_UNIT}
"""  # noqa: S608 - as above

QUERIES = {
    "pairs of arms": PAIRS,
    "revisions with both arms": _CHOSEN,
    "rows of either arm": _LOGGED,
    "ids with several rows or uses": _REPEATED,
    "uses of these ids": USES,
    "rows of these ids, by use": _ASKED_AGAIN,
    "requests with several outcomes": REPORTED_AGAIN,
    "outcomes by use": TRUTH,
    "rows by unit and arm": _ASSIGNED,
    "counts by arm": _CENSUS,
    "counts of outcomes by arm": _OUTCOME_CENSUS,
    "steps": _STEPS,
    "units by the split of their first row": _FIRST_SEEN,
    "units in both arms": _IN_BOTH,
    "rows that are compared": _ROWS,
}
