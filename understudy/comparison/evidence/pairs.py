"""The rows in the logs that both versions scored, with their outcomes where known."""

from typing import Any

import pyarrow as pa
from numpy.typing import NDArray

from understudy.comparison.evidence.rows import (
    Evidence,
    Latency,
    OutcomeCensus,
    PairedRows,
    Question,
    RowCensus,
    SentRows,
    VersionPair,
    WorstPair,
)
from understudy.domain.errors import InconclusiveError, InvalidInputError
from understudy.logs.reader import LogReader

_REPEAT_S = 60  # repeated calls follow each other within a deadline, and with few pauses


def version_pairs(reader: LogReader, question: Question) -> tuple[VersionPair, ...]:
    """Return the pairs of versions in the log that fit the question, most recent first."""
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
        _parameters(question),
    )
    return tuple(VersionPair(**row) for row in found)


def read_evidence(reader: LogReader, question: Question, pair: VersionPair) -> Evidence:
    """Return the rows that both versions of `pair` scored, one per request, and the counts."""
    parameters = _parameters(question) | {"shadow": pair.shadow, "champion": pair.champion}
    reader.keep("logged", _LOGGED, parameters)
    reader.keep("uses", USES, {"model": question.model, "since": question.since})
    reader.keep("asked", _ASKED, {})
    reader.keep("truth", TRUTH, {"model": question.model})
    reader.keep("paired", _PAIRED, {"matured_before": question.matured_before})
    return Evidence(
        rows=PairedRows(**arrays_of(reader.table(_COLUMNS))),
        census=RowCensus(**reader.rows(_ROW_CENSUS)[0]),
        outcomes=OutcomeCensus(**reader.rows(_OUTCOME_CENSUS)[0]),
        sent=SentRows(
            **arrays_of(reader.table(_SENT, {"matured_before": question.matured_before}))
        ),
        latency=tuple(Latency(**row) for row in reader.rows(_LATENCY, parameters)),
        worst=tuple(WorstPair(**row) for row in reader.rows(_WORST)),
    )


def arrays_of(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Return the columns of a table by name."""
    return {name: table[name].to_numpy() for name in table.column_names}


def _parameters(question: Question) -> dict[str, object]:
    return {
        "model": question.model,
        "shadow": question.shadow,
        "champion": question.champion,
        "since": question.since,
        "until": question.until,
    }


# Callers may use a request id again. Answers of one id that follow each other within `_REPEAT_S`
# are one use of it, with repeated calls; each use is a request of its own.
USES = f"""
    WITH answers AS (
        SELECT request_id, at_utc, date FROM shadow WHERE model = $model
        UNION ALL SELECT request_id, at_utc, date FROM score WHERE model = $model
    ),
    spaced AS (
        SELECT request_id, at_utc, at_utc - lag(at_utc) OVER (
            PARTITION BY request_id ORDER BY at_utc
        ) AS pause
        FROM answers SEMI JOIN logged USING (request_id)
        WHERE $since IS NULL OR date >= $since::DATE - 1
    )
    SELECT request_id, at_utc AS started_at_utc,
           row_number() OVER (PARTITION BY request_id ORDER BY at_utc) AS use
    FROM spaced WHERE pause IS NULL OR pause > INTERVAL {_REPEAT_S} SECOND
"""  # noqa: S608 - a number of ours

_LOGGED = """
    SELECT request_id, candidate_id, unit_key, at_utc, status, score AS champion_score, shadow_score,
           infer_us, status = 'ok' AND isfinite(score) AND isfinite(shadow_score) AS usable
    FROM shadow
    WHERE model = $model AND shadow_version = $shadow AND version = $champion
      AND status IN ('ok', 'error', 'timeout')
      AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
      AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
"""

# `rank` 1 is the latest row of a request: a caller that repeated it acted on that answer.
_ASKED = """
    SELECT logged.*, use,
           row_number() OVER (
               PARTITION BY logged.request_id, use, unit_key, candidate_id, status
               ORDER BY at_utc DESC, champion_score, shadow_score
           ) AS rank
    FROM logged ASOF JOIN uses
      ON logged.request_id = uses.request_id AND logged.at_utc >= uses.started_at_utc
"""

# An outcome belongs to the latest use before it was observed, or to the first one. The one observed
# last counts; of those, the one reported last, where an outcome imported again keeps its first report.
TRUTH = """
    WITH reported AS (
        SELECT request_id, label, observed_at_utc, min(at_utc) AS at_utc, count(*) AS reports
        FROM outcomes WHERE model = $model GROUP BY request_id, label, observed_at_utc
    ),
    placed AS (
        SELECT reported.*, coalesce(use, 1) AS use
        FROM reported ASOF LEFT JOIN uses
          ON reported.request_id = uses.request_id
         AND reported.observed_at_utc >= uses.started_at_utc
    )
    SELECT request_id, use,
           first(label ORDER BY observed_at_utc DESC, at_utc DESC, label DESC) AS label,
           max(observed_at_utc) AS observed_at_utc,
           sum(reports)::BIGINT AS reports, count(DISTINCT label) > 1 AS conflicts
    FROM placed GROUP BY request_id, use
"""

# The outcome of a row that is too young is left out: those that have arrived are not typical.
_PAIRED = """
    WITH rows AS (
        SELECT asked.*, reports, conflicts, observed_at_utc, label,
               count(*) OVER (PARTITION BY request_id, use) > 1 AND candidate_id IS NULL
                   AS is_of_several_units,
               coalesce(asked.at_utc >= $matured_before::TIMESTAMP, false) AS is_immature
        FROM asked LEFT JOIN truth USING (request_id, use)
        WHERE usable AND rank = 1
    )
    SELECT * EXCLUDE (label),
           CASE WHEN candidate_id IS NULL AND NOT is_of_several_units AND NOT is_immature
                THEN label END AS label
    FROM rows
"""

_ROW_CENSUS = """
    SELECT count(*) FILTER (status = 'ok') AS ok,
           count(*) FILTER (status = 'error') AS error,
           count(*) FILTER (status = 'timeout') AS timeout,
           count(*) FILTER (status = 'ok' AND rank > 1) AS duplicates,
           count(*) FILTER (status = 'ok' AND rank = 1 AND NOT coalesce(usable, false))
               AS not_finite,
           count(*) FILTER (usable AND rank = 1) AS pairs,
           count(DISTINCT (request_id, use)) FILTER (usable AND rank = 1) AS requests,
           count(DISTINCT (request_id, use)) FILTER (usable AND rank = 1)
               - count(DISTINCT request_id) FILTER (usable AND rank = 1) AS reused_ids,
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
           count(*) FILTER (candidate_id IS NOT NULL AND reports IS NOT NULL) AS of_candidates,
           count(*) FILTER (is_of_several_units AND reports IS NOT NULL) AS of_several_units,
           count(*) FILTER (is_immature) AS immature
    FROM paired
"""

_COLUMNS = """
    SELECT champion_score AS champion, shadow_score AS shadow,
           dense_rank() OVER (ORDER BY unit_key) AS unit,
           coalesce(label, 'nan'::DOUBLE) AS label,
           datediff('day', DATE '1970-01-01', at_utc::DATE) AS day
    FROM paired ORDER BY request_id, use, candidate_id NULLS FIRST, unit_key
"""

# Per request and candidate: lost, if no row of it can be compared. The champion's score is known.
_SENT = """
    SELECT NOT bool_or(coalesce(usable, false)) AS is_lost,
           arg_max(champion_score, at_utc) AS champion,
           dense_rank() OVER (ORDER BY unit_key) AS unit,
           coalesce(first(label) FILTER (
               candidate_id IS NULL AND NOT coalesce(asked.at_utc >= $matured_before::TIMESTAMP, false)
           ), 'nan'::DOUBLE) AS label
    FROM asked LEFT JOIN truth USING (request_id, use)
    WHERE isfinite(champion_score)
    GROUP BY request_id, use, candidate_id, unit_key
    ORDER BY request_id, use, candidate_id NULLS FIRST, unit_key
"""

_WORST = """
    SELECT request_id, candidate_id, at_utc AS at, champion_score AS champion,
           shadow_score AS shadow, label
    FROM paired
    ORDER BY abs(shadow_score - champion_score) DESC, request_id, use, candidate_id NULLS FIRST
    LIMIT 10
"""

# Of rows that reached a model: those of rules and of the ladder have no round trip.
_LATENCY = """
    WITH trips AS (
        SELECT $champion::INTEGER AS version, infer_us FROM score
        WHERE model = $model AND version = $champion AND level < 2 AND rule IS NULL
          AND ($since IS NULL OR (date >= $since::DATE AND at_utc >= $since::TIMESTAMP))
          AND ($until IS NULL OR (date <= $until::DATE AND at_utc < $until::TIMESTAMP))
        UNION ALL
        SELECT $shadow::INTEGER AS version, infer_us FROM logged WHERE usable
    )
    SELECT version, count(*) AS rows, quantile_cont(infer_us, 0.5) AS p50_us,
           quantile_cont(infer_us, 0.9) AS p90_us, quantile_cont(infer_us, 0.99) AS p99_us
    FROM trips GROUP BY version ORDER BY version = $shadow
"""

QUERIES = {
    "rows of the pair": _LOGGED,
    "uses of request ids": USES,
    "rows by use": _ASKED,
    "outcomes by use": TRUTH,
    "pairs": _PAIRED,
    "counts of rows": _ROW_CENSUS,
    "counts of outcomes": _OUTCOME_CENSUS,
    "columns": _COLUMNS,
    "rows sent to the shadow": _SENT,
    "largest differences": _WORST,
    "latency": _LATENCY,
}


def require_pair(pairs: tuple[VersionPair, ...], question: Question) -> VersionPair:
    """Return the only pair that fits.

    Raises:
        InconclusiveError: the log holds no row that fits the question.
        InvalidInputError: several pairs fit; the question must name one.
    """
    if not pairs:
        raise InconclusiveError(f"the shadow log holds no row of {question.model} that fits")
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
