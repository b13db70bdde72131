"""Requests and outcomes by use of their id, as queries that both kinds of comparison share.

Texts are compared by digests of 16 bytes, which sort and spill at a fraction of their cost. An id
that has one row and one use, as nearly all have, goes past the windows that order repeated calls.
"""

from understudy.comparison.evidence.engine import Engine
from understudy.comparison.evidence.rows import Question

LARGEST = 1e60
"""The size of a score or an outcome above which none is used: the variance of a squared error takes
its fourth power, which must be a number."""
_REPEAT_S = 60  # repeated calls follow each other within a deadline, and with few pauses

ID = "md5_number(request_id)"
LOWER_ID = f"({ID} & {2**64 - 1})::UBIGINT"
"""Half of the digest, in 64 bits: dividing 128 bits costs four times the digest itself."""
KEYS = f"""{ID} AS id, md5_number(unit_key) AS unit,
           coalesce(md5_number(candidate_id), 0::UHUGEINT) AS candidate"""
"""The columns that name a row; the candidate is 0 where there is none."""

_ANSWERS = f"""
        SELECT {ID} AS id, at_utc FROM shadow
        WHERE model = $model AND ($since IS NULL OR date >= $since::DATE - 1)
        UNION ALL
        SELECT {ID} AS id, at_utc FROM score
        WHERE model = $model AND ($since IS NULL OR date >= $since::DATE - 1)
"""  # noqa: S608 - texts of ours


def is_usable(column: str) -> str:
    """Return the condition that a number is finite and not above `LARGEST` in size.

    Both are asked: statistics of a Parquet file leave NaN out, and DuckDB believes them, so that
    the second is true of NaN where the other numbers of the file are small.
    """
    return f"coalesce(isfinite({column}) AND abs({column}) <= {LARGEST!r}, false)"


def keep_uses(engine: Engine, question: Question, rows_asked_again: str) -> None:
    """Keep the tables `uses`, `asked_again` and `reported_again` of `logged` and `repeated`."""
    engine.keep("uses", USES, {"model": question.model, "since": question.since})
    engine.keep("asked_again", rows_asked_again, {})
    engine.keep("reported_again", REPORTED_AGAIN, {"model": question.model})


def repeated(own_log: str, is_own: str) -> str:
    """Return the query of the ids in `logged` that need a closer look: several rows, or uses.

    It is a sieve, so that it may also keep others: by half a digest, and by seconds.

    Args:
        own_log: the log of the rows in `logged`.
        is_own: the condition of these rows, or a wider one.
    """
    seen = " UNION ALL ".join(
        f"""
            SELECT ({ID} >> 64)::UBIGINT AS half, epoch(at_utc)::INTEGER AS at_s,
                   ({is_own if log == own_log else "false"})::UTINYINT AS own
            FROM {log} WHERE model = $model AND ($since IS NULL OR date >= $since::DATE - 1)"""  # noqa: S608 - texts of ours
        for log in ("shadow", "score")
    )
    return f"""
    SELECT DISTINCT id FROM logged SEMI JOIN (
        SELECT half FROM ({seen}
        ) GROUP BY half
        HAVING sum(own) > 1 OR (sum(own) = 1 AND max(at_s) - min(at_s) >= {_REPEAT_S})
    ) AS sieved ON (logged.id >> 64)::UBIGINT = sieved.half
"""  # noqa: S608 - as above


# Callers may use a request id again. Answers of one id that follow each other within `_REPEAT_S`
# are one use of it, with repeated calls; each use is a request of its own.
USES = f"""
    WITH spaced AS (
        SELECT id, at_utc, at_utc - lag(at_utc) OVER (PARTITION BY id ORDER BY at_utc) AS pause
        FROM ({_ANSWERS}) SEMI JOIN repeated USING (id)
    )
    SELECT id, at_utc AS started_at_utc,
           row_number() OVER (PARTITION BY id ORDER BY at_utc) AS use
    FROM spaced WHERE pause IS NULL OR pause > INTERVAL {_REPEAT_S} SECOND
"""  # noqa: S608 - as above


def asked_again(same: str, latest: str, counted: str) -> str:
    """Return the query of the rows with a repeated id, by use.

    `rank` 1 is the latest row of a request: a caller that repeated it acted on that answer.

    Args:
        same: columns that repeats of a row share, besides its use and its keys.
        latest: the order of repeats, the one that counts first.
        counted: the condition of a row that counts.
    """
    return f"""
    WITH ranked AS (
        SELECT logged.*, use::INTEGER AS use,
               row_number() OVER (
                   PARTITION BY logged.id, use, unit, candidate{same} ORDER BY {latest}
               )::INTEGER AS rank
        FROM (SELECT * FROM logged SEMI JOIN repeated USING (id)) AS logged ASOF JOIN uses
          ON logged.id = uses.id AND logged.at_utc >= uses.started_at_utc
    )
    SELECT *, (count(*) FILTER ({counted} AND rank = 1) OVER (PARTITION BY id, use))::INTEGER
               AS rows_of_use
    FROM ranked
"""  # noqa: S608 - as above


# All rows of `logged`, with the use of their id.
ASKED = """(
        SELECT logged.*, 1 AS use, 1 AS rank, 1 AS rows_of_use
        FROM logged ANTI JOIN repeated USING (id)
        UNION ALL SELECT * FROM asked_again
    )"""

REPORTED_AGAIN = f"""
    SELECT {ID} AS id FROM outcomes WHERE model = $model GROUP BY ALL HAVING count(*) > 1
    UNION SELECT id FROM repeated
"""  # noqa: S608 - as above

# An outcome belongs to the latest use before it was observed, or to the first one. The one observed
# last counts; of those, the one reported last, where an outcome imported again keeps its first report.
TRUTH = f"""
    WITH all_reports AS (
        SELECT {ID} AS id, label, observed_at_utc, at_utc FROM outcomes WHERE model = $model
    ),
    reported AS (
        SELECT id, label, observed_at_utc, min(at_utc) AS at_utc, count(*) AS reports
        FROM all_reports SEMI JOIN reported_again USING (id)
        GROUP BY id, label, observed_at_utc
    ),
    placed AS (
        SELECT reported.*, coalesce(use, 1) AS use
        FROM reported ASOF LEFT JOIN uses
          ON reported.id = uses.id AND reported.observed_at_utc >= uses.started_at_utc
    )
    SELECT id, use::INTEGER AS use,
           first(label ORDER BY observed_at_utc DESC, at_utc DESC, label DESC) AS label,
           max(observed_at_utc) AS observed_at_utc,
           sum(reports)::INTEGER AS reports, count(DISTINCT label) > 1 AS conflicts
    FROM placed GROUP BY id, use
    UNION ALL
    SELECT id, 1 AS use, label, observed_at_utc, 1 AS reports, false AS conflicts
    FROM all_reports ANTI JOIN reported_again USING (id)
"""  # noqa: S608 - as above

# The columns of a row about its outcome. That of a row that is too young is left out: those that
# have arrived are not typical.
OF_OUTCOME = f"""CASE WHEN candidate = 0 AND rows_of_use = 1 AND {is_usable("label")}
                 AND NOT coalesce(at_utc >= $matured_before::TIMESTAMP, false)
                THEN label END AS label,
           reports, conflicts, coalesce(observed_at_utc < at_utc, false) AS is_observed_before,
           rows_of_use > 1 AND candidate = 0 AS is_of_several_units,
           coalesce(at_utc >= $matured_before::TIMESTAMP, false) AS is_immature"""


def outcome_census(rows: str, by: str = "") -> str:
    """Return the query of the counts of outcomes for a table whose columns are `OF_OUTCOME`.

    Args:
        rows: name of the table.
        by: a column by which they are counted. "": all together.
    """
    return f"""
    SELECT {f"{by}," if by else ""} count(label) AS matched,
           count(*) FILTER (label IS NULL) AS unmatched,
           coalesce(sum(reports - 1) FILTER (label IS NOT NULL), 0)::BIGINT AS duplicates,
           count(*) FILTER (label IS NOT NULL AND conflicts) AS conflicting,
           count(*) FILTER (label IS NOT NULL AND is_observed_before) AS observed_before_answer,
           count(*) FILTER (label IS NOT NULL AND label NOT IN (0, 1)) AS not_binary,
           count(*) FILTER (candidate <> 0 AND reports IS NOT NULL) AS of_candidates,
           count(*) FILTER (is_of_several_units AND reports IS NOT NULL) AS of_several_units,
           count(*) FILTER (is_immature) AS immature
    FROM {rows}{f" GROUP BY {by}" if by else ""}
"""  # noqa: S608 - as above
