"""The rows in the logs that both versions scored, with their outcomes where known."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from understudy.domain.errors import InconclusiveError
from understudy.logs.reader import LogReader


@dataclass(frozen=True, slots=True)
class Question:
    """The rows to compare. None: the most recent pair of versions, or no bound."""

    model: str
    shadow: int | None = None
    champion: int | None = None
    since: datetime | None = None  # UTC, without a zone


@dataclass(frozen=True, slots=True)
class VersionPair:
    """A shadow and the version that answered the same requests, with their rows in the log."""

    shadow: int
    champion: int
    rows: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RowCensus:
    """The rows of one pair of versions in the log, and how many of them were compared."""

    ok: int
    error: int
    timeout: int
    duplicates: int  # repeats of a request (and candidate); the latest row is compared
    not_finite: int  # rows with a score that is not finite, which no statistic can use
    pairs: int
    requests: int
    units: int


@dataclass(frozen=True, slots=True)
class OutcomeCensus:
    """The outcomes in the log for the pairs, and how many of them were used."""

    matched: int
    unmatched_pairs: int
    duplicates: int  # repeated reports for a request; the latest is used
    conflicting: int  # requests with reports that disagree
    observed_before_answer: int  # by clocks that may differ; used nevertheless
    not_binary: int  # left out of rankings and calibration
    of_candidates: int  # pairs whose request has candidates: the outcome's candidate is unknown


@dataclass(frozen=True, slots=True, eq=False)
class PairedRows:
    """Columns of equal length n, ordered by request."""

    champion: NDArray[np.float64]
    shadow: NDArray[np.float64]
    unit: NDArray[np.int64]  # label of the unit key
    label: NDArray[np.float64]  # NaN if there is no outcome


def version_pairs(reader: LogReader, question: Question) -> tuple[VersionPair, ...]:
    """Return the pairs of versions in the log that fit the question, most recent first."""
    found = reader.rows(
        """
        SELECT shadow_version AS shadow, champion_version AS champion, count(*) AS rows,
               min(at_utc) AS first_at, max(at_utc) AS last_at
        FROM shadow
        WHERE model = $model
          AND ($shadow IS NULL OR shadow_version = $shadow)
          AND ($champion IS NULL OR champion_version = $champion)
          AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
        GROUP BY ALL
        ORDER BY last_at DESC, shadow DESC, champion DESC
        """,
        _parameters(question),
    )
    return tuple(VersionPair(**row) for row in found)


def read_pairs(
    reader: LogReader, question: Question, pair: VersionPair
) -> tuple[PairedRows, RowCensus, OutcomeCensus]:
    """Return the rows that both versions of `pair` scored, one per request, and the counts."""
    parameters = _parameters(question) | {"shadow": pair.shadow, "champion": pair.champion}
    reader.keep("asked", _ASKED, parameters)
    reader.keep("truth", _TRUTH, {"model": question.model})
    reader.keep("paired", _PAIRED, {})
    census = RowCensus(**reader.rows(_ROW_CENSUS)[0])
    outcomes = OutcomeCensus(**reader.rows(_OUTCOME_CENSUS)[0])
    columns = reader.table(
        """
        SELECT champion_score, shadow_score, dense_rank() OVER (ORDER BY unit_key) AS unit,
               coalesce(label, 'nan'::DOUBLE) AS label
        FROM paired ORDER BY request_id, candidate_id NULLS FIRST
        """
    )
    return (
        PairedRows(
            champion=columns["champion_score"].to_numpy(),
            shadow=columns["shadow_score"].to_numpy(),
            unit=columns["unit"].to_numpy(),
            label=columns["label"].to_numpy(),
        ),
        census,
        outcomes,
    )


def _parameters(question: Question) -> dict[str, object]:
    return {
        "model": question.model,
        "shadow": question.shadow,
        "champion": question.champion,
        "since": question.since,
    }


# `rank` 1 is the latest row of a request: a caller that repeated it acted on that answer.
_ASKED = """
    SELECT request_id, candidate_id, unit_key, at_utc, status, champion_score, shadow_score,
           status = 'ok' AND isfinite(champion_score) AND isfinite(shadow_score) AS usable,
           row_number() OVER (
               PARTITION BY request_id, candidate_id, status
               ORDER BY at_utc DESC, champion_score, shadow_score
           ) AS rank
    FROM shadow
    WHERE model = $model AND shadow_version = $shadow AND champion_version = $champion
      AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
"""

_TRUTH = """
    SELECT request_id, first(label ORDER BY at_utc DESC, label) AS label,
           first(observed_at_utc ORDER BY at_utc DESC, label) AS observed_at_utc,
           count(*) AS reports, count(DISTINCT label) > 1 AS conflicts
    FROM outcomes WHERE model = $model GROUP BY request_id
"""

_PAIRED = """
    SELECT asked.*, reports, conflicts, observed_at_utc,
           CASE WHEN candidate_id IS NULL THEN label END AS label
    FROM asked LEFT JOIN truth USING (request_id)
    WHERE usable AND rank = 1
"""

_ROW_CENSUS = """
    SELECT count(*) FILTER (status = 'ok') AS ok,
           count(*) FILTER (status = 'error') AS error,
           count(*) FILTER (status = 'timeout') AS timeout,
           count(*) FILTER (status = 'ok' AND rank > 1) AS duplicates,
           count(*) FILTER (status = 'ok' AND rank = 1 AND NOT coalesce(usable, false))
               AS not_finite,
           count(*) FILTER (usable AND rank = 1) AS pairs,
           count(DISTINCT request_id) FILTER (usable AND rank = 1) AS requests,
           count(DISTINCT unit_key) FILTER (usable AND rank = 1) AS units
    FROM asked
"""

_OUTCOME_CENSUS = """
    SELECT count(label) AS matched,
           count(*) FILTER (label IS NULL) AS unmatched_pairs,
           coalesce(sum(reports - 1) FILTER (label IS NOT NULL), 0)::BIGINT AS duplicates,
           count(*) FILTER (label IS NOT NULL AND conflicts) AS conflicting,
           count(*) FILTER (label IS NOT NULL AND observed_at_utc < at_utc)
               AS observed_before_answer,
           count(*) FILTER (label IS NOT NULL AND label NOT IN (0, 1)) AS not_binary,
           count(*) FILTER (candidate_id IS NOT NULL AND reports IS NOT NULL) AS of_candidates
    FROM paired
"""


def require_pair(pairs: tuple[VersionPair, ...], question: Question) -> VersionPair:
    """Return the pair to compare, which is the most recent one.

    Raises:
        InconclusiveError: the log holds no row that fits the question.
    """
    if not pairs:
        raise InconclusiveError(f"the shadow log holds no row of {question.model} that fits")
    return pairs[0]
