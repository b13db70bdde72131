"""All rows that were offered to a shadow, by status and time; its inputs; and the noise of its kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.rows import Question, VersionPair
from understudy.comparison.evidence.uses import KEYS, LOWER_ID, is_usable
from understudy.statistics.units import Floats

_HOURLY_UP_TO = timedelta(days=2)
_COMPARED_INPUTS = 100_000  # about; of more rows a part, chosen by the digest of its ids


@dataclass(frozen=True, slots=True)
class OfferedRows:
    """The rows of one period and status."""

    since: datetime  # UTC, without a zone: a day, or an hour of logs of up to two days
    status: str
    rows: int
    degraded: int  # whose answer was below level 0
    mean_score: float | None  # of the answers; None: no finite one


@dataclass(frozen=True, slots=True)
class InputIdentity:
    """Shadow rows beside the answers that they mirror, of the score log."""

    rows: int  # of the sample
    found: int  # with an answer of that version to the same request in the score log
    equal: int  # of these, with the same score, bit for bit


@dataclass(frozen=True, slots=True, eq=False)
class OwnShadow:
    """The rows of a shadow of the champion's own version: the same inputs through another scorer."""

    rows: int
    sums: Floats  # per unit: rows, differences, absolute ones, flips; shape (units, 4)
    median: float  # of absolute differences
    p99: float
    largest: float


def read_offered(engine: Engine, question: Question, pair: VersionPair) -> tuple[OfferedRows, ...]:
    """Return the rows of `pair`, sampled out and dropped ones too, in the order of time."""
    is_short = pair.last_at - pair.first_at <= _HOURLY_UP_TO
    found = engine.rows(_OFFERED, _chosen(question, pair) | {"step": "hour" if is_short else "day"})
    return tuple(OfferedRows(**row) for row in found)


def read_identity(engine: Engine, question: Question, pair: VersionPair) -> InputIdentity:
    """Compare shadow rows with the score log, of many rows a sample that any reader finds again."""
    every = max(1, pair.rows // _COMPARED_INPUTS)
    (row,) = engine.rows(_IDENTITY, _chosen(question, pair) | {"every": every})
    return InputIdentity(**row)


def read_own_shadow(
    engine: Engine, question: Question, pair: VersionPair, threshold: float | None
) -> OwnShadow | None:
    """Return the shadow of the champion's own version in the same period; None: there is none."""
    chosen = _chosen(question, pair) | {"shadow": pair.champion, "threshold": threshold}
    if pair.shadow == pair.champion:
        return None
    (shape,) = engine.rows(_OWN_SHAPE, chosen)
    if not shape["rows"]:
        return None
    parts = list(_floats(engine, chosen))
    return OwnShadow(sums=np.concatenate(parts), **shape)


def _floats(engine: Engine, chosen: dict[str, object]) -> Iterator[Floats]:
    for batch in engine.batches(_OWN_SUMS, chosen):
        yield np.column_stack(
            [column.to_numpy(zero_copy_only=False).astype(np.float64) for column in batch.columns]
        )


def _chosen(question: Question, pair: VersionPair) -> dict[str, object]:
    return question.parameters() | {"shadow": pair.shadow, "champion": pair.champion}


_OF_PAIR = """model = $model AND shadow_version = $shadow AND version = $champion
      AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
      AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))"""

_OFFERED = f"""
    SELECT date_trunc($step, at_utc)::TIMESTAMP AS since, status, count(*) AS rows,
           count(*) FILTER (level > 0) AS degraded,
           avg(score) FILTER ({is_usable("score")}) AS mean_score
    FROM shadow WHERE {_OF_PAIR}
    GROUP BY ALL ORDER BY since, status
"""  # noqa: S608 - texts of ours

_IDENTITY = f"""
    WITH mirrored AS (
        SELECT {KEYS}, score FROM shadow
        WHERE {_OF_PAIR} AND status = 'ok' AND ({LOWER_ID} % $every::UBIGINT) = 0
    ),
    answers AS (
        SELECT {KEYS}, score FROM score
        WHERE model = $model AND version = $champion AND ({LOWER_ID} % $every::UBIGINT) = 0
    ),
    pairs AS (
        SELECT mirrored.id, mirrored.unit, mirrored.candidate, mirrored.score,
               bool_or(answers.score IS NOT NULL) AS is_found,
               coalesce(bool_or(answers.score = mirrored.score), false) AS is_equal
        FROM mirrored LEFT JOIN answers USING (id, unit, candidate)
        GROUP BY ALL
    )
    SELECT count(*) AS rows, count(*) FILTER (is_found) AS found, count(*) FILTER (is_equal) AS equal
    FROM pairs
"""  # noqa: S608 - as above

_OWN_ROWS = f"""
        SELECT md5_number(unit_key) AS unit, shadow_score - score AS difference,
               coalesce((shadow_score >= $threshold) <> (score >= $threshold), false) AS is_flip
        FROM shadow
        WHERE {_OF_PAIR} AND status = 'ok' AND {is_usable("score")} AND {is_usable("shadow_score")}
"""  # noqa: S608 - as above

_OWN_SHAPE = f"""
    SELECT count(*) AS rows, coalesce(quantile_cont(abs(difference), 0.5), 0)::DOUBLE AS median,
           coalesce(quantile_cont(abs(difference), 0.99), 0)::DOUBLE AS p99,
           coalesce(max(abs(difference)), 0)::DOUBLE AS largest
    FROM (SELECT *, $threshold AS unused FROM ({_OWN_ROWS}))
"""  # noqa: S608 - as above

_OWN_SUMS = f"""
    SELECT count(*) AS rows, sum(difference) AS difference, sum(abs(difference)) AS distance,
           count(*) FILTER (is_flip) AS flips
    FROM ({_OWN_ROWS}) GROUP BY unit ORDER BY unit
"""  # noqa: S608 - as above

QUERIES = {
    "rows offered, by status and time": _OFFERED,
    "shadow rows beside the score log": _IDENTITY,
    "distances of a shadow of the champion's own version": _OWN_SHAPE,
    "the same over units": _OWN_SUMS,
}
