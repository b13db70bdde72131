"""The pairs of versions in the shadow log, of which a comparison takes one."""

from understudy.comparison.decisions.own_version import the_only
from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.rows import Question, VersionPair


def version_pairs(reader: Engine, question: Question) -> tuple[VersionPair, ...]:
    """Return the pairs of versions in the log that fit the question, most recent first.

    Pairs of the champion's own version, which show noise, are among them.
    """
    found = reader.rows(
        """
        SELECT shadow_version AS shadow, version AS champion, count(*) AS rows,
               min(at_utc) AS first_at, max(at_utc) AS last_at
        FROM shadow
        WHERE model = $model
          AND ($shadow IS NULL OR shadow_version = $shadow)
          AND (version = $champion OR ($champion IS NULL AND arm = 'champion'))
          AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
          AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
        GROUP BY ALL
        ORDER BY last_at DESC, shadow DESC, champion DESC
        """,
        question.parameters("shadow"),
    )
    return tuple(VersionPair(**row) for row in found)


def require_pair(pairs: tuple[VersionPair, ...], question: Question) -> VersionPair:
    """Return the only pair that fits; an A/A test fits only if its shadow is named.

    Raises:
        InconclusiveError: the log holds no row that fits the question.
        InvalidInputError: several pairs fit; the question must name one.
    """
    return the_only(
        pairs,
        question.shadow,
        option="--shadow",
        field="pair",
        members="versions",
        absent=f"the shadow log holds no row of {question.model} that fits",
    )
