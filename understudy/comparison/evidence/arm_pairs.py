"""The pairs of arms in the score log, of which a comparison takes one."""

from understudy.comparison.decisions.own_version import the_only
from understudy.comparison.evidence.arm_rows import ArmPair
from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.rows import Question


def arm_pairs(engine: Engine, question: Question) -> tuple[ArmPair, ...]:
    """Return the pairs of arms in the score log that fit the question, most recent first."""
    found = engine.rows(PAIRS, question.parameters("challenger"))
    return tuple(ArmPair(**row) for row in found)


def require_arms(pairs: tuple[ArmPair, ...], question: Question) -> ArmPair:
    """Return the only pair that fits; an A/A test fits only if its challenger is named.

    Raises:
        InconclusiveError: no revision in the score log had a challenger that fits.
        InvalidInputError: several pairs fit; the question must name one.
    """
    return the_only(
        pairs,
        question.challenger,
        option="--challenger",
        field="arms",
        members="arms",
        absent=f"the score log holds no row of {question.model} that was assigned to a challenger",
    )


_IN_PERIOD = """
    model = $model
      AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
      AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
"""

# Per revision with a challenger: its champion, and the weights of both. A revision that logged no
# row of one of them yet has the rest of the whole for it, unless a third arm takes a share.
SPLITS = f"""
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

PAIRS = f"""
    SELECT challenger, champion, sum(rows)::BIGINT AS rows,
           min(first_at) AS first_at, max(last_at) AS last_at
    FROM ({SPLITS})
    WHERE champion IS NOT NULL
      AND ($challenger IS NULL OR challenger = $challenger) AND ($champion IS NULL OR champion = $champion)
    GROUP BY ALL ORDER BY last_at DESC, challenger DESC, champion DESC
"""  # noqa: S608 - as above
