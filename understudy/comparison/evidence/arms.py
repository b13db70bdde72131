"""The rows of live traffic by the arm to which their units were assigned, with outcomes."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.decisions.own_version import candidates, own_only
from understudy.comparison.evidence.arm_sums import SUMS
from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.pairs import arrays_of, keep_uses
from understudy.comparison.evidence.rows import Question
from understudy.comparison.evidence.uses import (
    ASKED,
    KEYS,
    REPORTED_AGAIN,
    TRUTH,
    USES,
    asked_again,
    repeated,
)
from understudy.domain.errors import InconclusiveError, InvalidInputError
from understudy.statistics.sample_ratio import StepOfUnits
from understudy.statistics.units import Floats, Labels


@dataclass(frozen=True, slots=True)
class ArmPair:
    """A challenger and the champion of the same revisions, with the rows assigned to them."""

    challenger: int
    champion: int
    rows: int
    first_at: datetime
    last_at: datetime

    @property
    def versions(self) -> tuple[int, int]:
        return self.challenger, self.champion


@dataclass(frozen=True, slots=True)
class ArmCensus:
    """The rows assigned to one arm."""

    rows: int
    requests: int
    units: int
    answered_by_others: int  # rows answered in another arm: withheld, or fallen back
    degraded: int
    outcomes: int


@dataclass(frozen=True, slots=True)
class Step:
    """A period with one split, in the order of beginnings."""

    weight_bp: int  # of the challenger
    first_at: datetime
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class ScoredOutcomes:
    """Rows with an outcome, in columns of equal length."""

    is_challenger: NDArray[np.bool_]
    score: Floats
    label: Floats
    unit: Labels


@dataclass(frozen=True, slots=True, eq=False)
class ArmEvidence:
    """The contents of the score log on two arms."""

    champion: ArmCensus
    challenger: ArmCensus
    steps: tuple[Step, ...]
    first_seen: tuple[StepOfUnits, ...]  # of each step: units by their first row
    in_both: int  # units assigned to both arms while one split was in effect
    sums: (
        Floats  # per unit, shape (units, 2 * len(COLUMNS) of `arm_sums`): champion's columns first
    )
    outcomes: ScoredOutcomes


def arm_pairs(engine: Engine, question: Question) -> tuple[ArmPair, ...]:
    """Return the pairs of arms in the score log that fit the question, most recent first."""
    found = engine.rows(_PAIRS, _parameters(question))
    return tuple(ArmPair(**row) for row in found)


def require_arms(pairs: tuple[ArmPair, ...], question: Question) -> ArmPair:
    """Return the only pair that fits; an A/A test fits only if its challenger is named.

    Raises:
        InconclusiveError: no revision in the score log had a challenger that fits.
        InvalidInputError: several pairs fit; the question must name one.
    """
    hint = own_only(pairs, "--challenger")
    pairs = candidates(pairs, question.challenger)
    if not pairs:
        raise InconclusiveError(
            f"the score log holds no row of {question.model} that was assigned to a challenger{hint}"
        )
    if len(pairs) > 1:
        found = "; ".join(
            f"--challenger {each.challenger} --champion {each.champion} "
            f"({each.rows} rows, the last at {each.last_at:%Y-%m-%d %H:%M})"
            for each in pairs
        )
        raise InvalidInputError.of(
            "arms", read=f"{len(pairs)} pairs of arms that fit", accepted=f"one of {found}"
        )
    return pairs[0]


def read_arms(
    engine: Engine, question: Question, pair: ArmPair, *, threshold: float | None
) -> ArmEvidence:
    """Return the rows that were assigned to either arm, one per request (and candidate).

    Without `threshold`, the lowest score that is a positive decision, none is counted.
    """
    chosen = _parameters(question) | {"challenger": pair.challenger, "champion": pair.champion}
    engine.keep("chosen", _CHOSEN, chosen)
    engine.keep("logged", _LOGGED, {"model": question.model, "challenger": pair.challenger})
    engine.keep("repeated", _REPEATED, {"model": question.model, "since": question.since})
    keep_uses(engine, question, _ASKED_AGAIN)
    engine.keep("truth", TRUTH, {"model": question.model})
    engine.keep("assigned", _ASSIGNED, {"matured_before": question.matured_before})
    census = {row.pop("is_challenger"): ArmCensus(**row) for row in engine.rows(_CENSUS)}
    nothing = ArmCensus(0, 0, 0, 0, 0, 0)
    first_seen = [StepOfUnits(**row) for row in engine.rows(_FIRST_SEEN)]
    return ArmEvidence(
        champion=census.get(False, nothing),
        challenger=census.get(True, nothing),
        steps=tuple(Step(**row) for row in engine.rows(_STEPS)),
        first_seen=tuple(first_seen),
        in_both=engine.rows(_IN_BOTH)[0]["units"],
        sums=_sums(engine, threshold),
        outcomes=ScoredOutcomes(**arrays_of(engine.table(_OUTCOMES))),
    )


def _sums(engine: Engine, threshold: float | None) -> Floats:
    found = arrays_of(engine.table(SUMS, {"threshold": threshold}))
    return np.column_stack([found[name].astype(np.float64) for name in found])


def _parameters(question: Question) -> dict[str, object]:
    return {
        "model": question.model,
        "challenger": question.challenger,
        "champion": question.champion,
        "since": question.since,
        "until": question.until,
    }


_IN_PERIOD = """
    model = $model
      AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
      AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
"""

# Per revision with a challenger: its champion, and the weights of both. A revision that logged no
# row of one of them yet has the rest of the whole for it, unless a third arm takes a share.
_SPLITS = f"""
    WITH arms AS (
        SELECT revision, assigned_version AS version, assigned_arm AS arm, count(*) AS rows,
               min(at_utc) AS first_at, max(at_utc) AS last_at, any_value(assigned_bp) AS weight_bp
        FROM score WHERE {_IN_PERIOD} GROUP BY ALL
    ),
    champions AS (SELECT * FROM arms WHERE arm = 'champion'),
    challengers AS (SELECT * FROM arms WHERE arm = 'challenger')
    SELECT revision, challengers.version AS challenger, champions.version AS champion,
           challengers.weight_bp AS weight_bp,
           coalesce(champions.weight_bp, 10000 - challengers.weight_bp) AS champion_bp,
           challengers.rows + coalesce(champions.rows, 0) AS rows,
           least(challengers.first_at, champions.first_at) AS first_at,
           greatest(challengers.last_at, champions.last_at) AS last_at
    FROM challengers LEFT JOIN champions USING (revision)
"""  # noqa: S608 - texts of ours

_PAIRS = f"""
    SELECT challenger, champion, sum(rows)::BIGINT AS rows,
           min(first_at) AS first_at, max(last_at) AS last_at
    FROM ({_SPLITS})
    WHERE champion IS NOT NULL
      AND ($challenger IS NULL OR challenger = $challenger) AND ($champion IS NULL OR champion = $champion)
    GROUP BY ALL ORDER BY last_at DESC, challenger DESC, champion DESC
"""  # noqa: S608 - as above

_CHOSEN = f"""
    SELECT revision, weight_bp, champion_bp, $since AS since, $until AS until FROM ({_SPLITS})
    WHERE challenger = $challenger AND coalesce(champion, $champion) = $champion
      AND champion_bp > 0
"""  # noqa: S608 - as above

# The rows of a revision without a row of the challenger say nothing about it.
_LOGGED = f"""
    SELECT {KEYS}, at_utc, score, level, revision, total_us,
           assigned_arm = 'challenger' AS is_challenger,
           version <> assigned_version OR arm <> assigned_arm AS is_by_other,
           10000.0 / assigned_bp AS weight, weight_bp, champion_bp
    FROM score JOIN chosen USING (revision)
    WHERE model = $model AND isfinite(score)
      AND (assigned_arm = 'champion' OR assigned_version = $challenger)
      AND (since IS NULL OR (date >= since::DATE AND at_utc >= since::TIMESTAMP))
      AND (until IS NULL OR (date <= until::DATE AND at_utc < until::TIMESTAMP))
"""  # noqa: S608 - as above

_REPEATED = repeated("score", "true")

_ASKED_AGAIN = asked_again("", "at_utc DESC, score", counted="true")

# The latest answer of a request counts, as the caller acted on it. An outcome counts for the only
# row of its request, if it is old enough.
_ASSIGNED = f"""
    SELECT asked.* EXCLUDE (rank, rows_of_use), rows_of_use > 1 AS is_shared,
           CASE WHEN candidate = 0 AND rows_of_use = 1
                 AND NOT coalesce(at_utc >= $matured_before::TIMESTAMP, false)
                THEN label END AS label
    FROM {ASKED} AS asked LEFT JOIN truth USING (id, use)
    WHERE rank = 1
"""  # noqa: S608 - as above

_CENSUS = """
    SELECT is_challenger, count(*) AS rows, count(DISTINCT (id, use)) AS requests,
           count(DISTINCT unit) AS units,
           count(*) FILTER (is_by_other) AS answered_by_others,
           count(*) FILTER (level > 0) AS degraded, count(label) AS outcomes
    FROM assigned GROUP BY is_challenger
"""

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

_OUTCOMES = """
    SELECT is_challenger, score, label, dense_rank() OVER (ORDER BY unit) AS unit
    FROM assigned WHERE label IS NOT NULL ORDER BY assigned.unit, id, use
"""

QUERIES = {
    "pairs of arms": _PAIRS,
    "revisions with both arms": _CHOSEN,
    "rows of either arm": _LOGGED,
    "ids with several rows or uses": _REPEATED,
    "uses of these ids": USES,
    "rows of these ids, by use": _ASKED_AGAIN,
    "requests with several outcomes": REPORTED_AGAIN,
    "outcomes by use": TRUTH,
    "rows by unit and arm": _ASSIGNED,
    "counts by arm": _CENSUS,
    "steps": _STEPS,
    "units by the split of their first row": _FIRST_SEEN,
    "units in both arms": _IN_BOTH,
    "sums over units": SUMS,
    "rows with an outcome": _OUTCOMES,
}
