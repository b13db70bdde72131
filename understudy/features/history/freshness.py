"""The age of served features: the newest record of each view, and stale shares from the score log."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.features import FeatureRef, FeatureStatus, FeatureView, ViewKind
from understudy.features.ports import InspectableStore
from understudy.runtime.in_memory_sql import open_in_memory


@dataclass(frozen=True, slots=True)
class ViewFreshness:
    """The age of a view's newest record; None if Understudy has written none."""

    view: str
    newest_age_s: float | None


@dataclass(frozen=True, slots=True)
class FeatureShares:
    """The statuses with which one feature was served, as shares of the logged rows."""

    view: str  # name@version
    name: str
    rows: int
    stale: float
    defaulted: float
    last_known: float
    missing: float


async def view_freshness(
    store: InspectableStore, views: Sequence[FeatureView], *, now_s: float, timeout_s: float
) -> tuple[ViewFreshness, ...]:
    """Return the freshness of each stored view.

    Raises:
        UnavailableError: the store did not answer.
    """
    found: list[ViewFreshness] = []
    for view in views:
        if view.kind is ViewKind.STORED:
            newest_ms = await store.newest_event_time_ms(view, timeout_s=timeout_s)
            age_s = None if newest_ms is None else now_s - newest_ms / 1000
            found.append(ViewFreshness(str(view), age_s))
    return tuple(found)


def feature_shares(
    files: str,
    feature_set: Sequence[FeatureRef],
    *,
    statuses_column: str = "statuses",
    where: str = "",
) -> tuple[FeatureShares, ...]:
    """Return the statuses with which each feature was served, from a score log.

    Args:
        files: the log's Parquet files, a path or a glob.
        feature_set: in the order of the vectors in the log.
        statuses_column: a list per row; NULL or empty if all values were present.
        where: SQL condition over the columns of the log.

    Raises:
        InvalidInputError: the log lacks this column, or holds statuses of more features.
        NotFoundError: there are no log files.
    """
    condition = f"WHERE {where}" if where else ""
    column = '"' + statuses_column.replace('"', '""') + '"'
    query = f"""
        WITH log AS (
            SELECT {column} AS statuses FROM read_parquet(?, union_by_name = true) {condition}
        ),
        each AS (
            SELECT unnest(statuses) AS status, generate_subscripts(statuses, 1) AS place FROM log
        )
        SELECT place, status, count(*), (SELECT count(*) FROM log) FROM each GROUP BY 1, 2
        UNION ALL SELECT 0, 0, 0, count(*) FROM log
    """  # noqa: S608 - the operator's own condition on their own files
    with open_in_memory() as connection:
        try:
            counted = connection.sql(query, params=[files]).fetchall()
        except duckdb.IOException as error:
            raise NotFoundError("score log", files) from error
        except (duckdb.BinderException, duckdb.ParserException) as error:
            first_line = str(error).splitlines()[0]
            raise InvalidInputError.of(files, read=first_line, accepted="a score log") from error
    rows = max((row[3] for row in counted), default=0)
    counts = {(int(place), int(status)): count for place, status, count, _ in counted}
    beyond = max((place for place, _ in counts), default=0)
    if beyond > len(feature_set):
        raise InvalidInputError.of(
            files, read=f"statuses of {beyond} features", accepted=f"of {len(feature_set)}"
        )

    def share(place: int, status: FeatureStatus) -> float:
        return counts.get((place, int(status)), 0) / rows if rows else 0.0

    return tuple(
        FeatureShares(
            view=f"{ref.view}@{ref.view_version}",
            name=ref.feature,
            rows=rows,
            stale=share(place, FeatureStatus.STALE),
            defaulted=share(place, FeatureStatus.DEFAULTED),
            last_known=share(place, FeatureStatus.LAST_KNOWN),
            missing=share(place, FeatureStatus.MISSING),
        )
        for place, ref in enumerate(feature_set, start=1)
    )
