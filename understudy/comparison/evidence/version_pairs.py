"""The pairs of versions in the shadow log, of which a comparison takes one."""

from understudy.comparison.decisions.own_version import candidates, own_only
from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.rows import Question, VersionPair
from understudy.domain.errors import InconclusiveError, InvalidInputError


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
        question_parameters(question),
    )
    return tuple(VersionPair(**row) for row in found)


def require_pair(pairs: tuple[VersionPair, ...], question: Question) -> VersionPair:
    """Return the only pair that fits; an A/A test fits only if its shadow is named.

    Raises:
        InconclusiveError: the log holds no row that fits the question.
        InvalidInputError: several pairs fit; the question must name one.
    """
    hint = own_only(pairs, "--shadow")
    pairs = candidates(pairs, question.shadow)
    if not pairs:
        raise InconclusiveError(f"the shadow log holds no row of {question.model} that fits{hint}")
    if len(pairs) > 1:
        found = "; ".join(
            f"--shadow {each.shadow} --champion {each.champion} "
            f"({each.rows} rows, the last at {each.last_at:%Y-%m-%d %H:%M})"
            for each in pairs
        )
        raise InvalidInputError.of(
            "pair", read=f"{len(pairs)} pairs of versions that fit", accepted=f"one of {found}"
        )
    return pairs[0]


def question_parameters(question: Question) -> dict[str, object]:
    """Return the parameters of queries over the rows in question."""
    return {
        "model": question.model,
        "shadow": question.shadow,
        "champion": question.champion,
        "since": question.since,
        "until": question.until,
    }
