"""The age of served features: the newest record of each view, and stale shares from the score log."""

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureStatus, FeatureView, ViewKind
from understudy.features.decisions.families import families_of
from understudy.features.history.log_files import condition_of_scored, open_log, quoted
from understudy.features.ports import InspectableStore


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
    defaulted: float  # of these, and of the missing: no current record, or not in the request
    last_known: float
    missing: float
    null: float  # the record has no value; with or without a default
    unread: float  # the store did not answer; with or without a default
    unknown: float  # of which the log does not say the status, or not one that is known


def freshness_faults(
    views: Sequence[ViewFreshness],
    shares: Sequence[FeatureShares],
    *,
    max_age_s: float | None,
    max_stale_share: float,
    max_unknown_share: float,
    future_tolerance_s: float,
) -> list[str]:
    """Return the violations of the limits, one text per kind. Unknown is never fresh.

    A newest record from the future has a wrong time, which hides the true age.
    """
    found = {
        "too old": [
            each.view
            for each in views
            if max_age_s is not None
            and (each.newest_age_s is None or each.newest_age_s > max_age_s)
        ],
        "newest record from the future": [
            each.view
            for each in views
            if each.newest_age_s is not None and each.newest_age_s < -future_tolerance_s
        ],
        "unknown too often": [each.name for each in shares if each.unknown > max_unknown_share],
        "stale or unknown too often": [
            each.name for each in shares if each.stale + each.unknown > max_stale_share
        ],
    }
    return [f"{kind}: {', '.join(names)}" for kind, names in found.items() if names]


async def view_freshness(
    store: InspectableStore, views: Sequence[FeatureView], *, now_s: float, timeout_s: float
) -> tuple[ViewFreshness, ...]:
    """Return the freshness of each stored view, of each of its families if it has some.

    Raises:
        UnavailableError: the store did not answer.
    """
    found: list[ViewFreshness] = []
    stored = [view for view in views if view.kind is ViewKind.STORED]
    for view in [family for each in stored for family in families_of(each)]:
        newest_ms = await store.newest_event_time_ms(view, timeout_s=timeout_s)
        age_s = None if newest_ms is None else now_s - newest_ms / 1000
        found.append(ViewFreshness(str(view), age_s))
    return tuple(found)


def feature_shares(
    files: str,
    feature_set: Sequence[FeatureRef],
    *,
    statuses_column: str = "statuses",
    vector_column: str = "features",
    where: str = "",
) -> tuple[FeatureShares, ...]:
    """Return the statuses with which each feature was served, from a score log.

    Rows that the ladder answered without a version read nothing and are left out.

    Args:
        files: the log's Parquet files, a path or a glob.
        feature_set: in the order of the vectors in the log.
        statuses_column: a list per row; NULL or empty if all values were present, or the model
            read none.
        vector_column: the values; NULL if the model read none, or the log cannot hold them.
        where: SQL condition over the columns of the log.

    Raises:
        InvalidInputError: the log lacks these columns, or holds statuses of more features.
        NotFoundError: there are no log files.
    """
    with open_log(files) as logged:
        condition = condition_of_scored(logged) + (f" AND ({where})" if where else "")
        query = f"""
            WITH chosen AS (
                SELECT CAST({quoted(statuses_column)} AS UTINYINT[]) AS statuses,
                    {quoted(vector_column)} IS NULL AS is_unread
                FROM log WHERE {condition}
            ),
            each AS (
                SELECT unnest(statuses) AS status, generate_subscripts(statuses, 1) AS place
                FROM chosen
            )
            SELECT place, status, count(*) AS n FROM each GROUP BY ALL
            UNION ALL SELECT 0, 0, count(*) FROM chosen
            UNION ALL SELECT 0, 1, count(*) FROM chosen
                WHERE NOT is_unread AND coalesce(len(statuses), 0) = 0
        """  # noqa: S608 - the operator's own condition on their own files
        counted = logged.table(query).to_pylist()
    counts = {(each["place"], each["status"]): each["n"] for each in counted}
    rows, all_present = counts[0, 0], counts[0, 1]
    beyond = max((place for place, _ in counts), default=0)
    if beyond > len(feature_set):
        raise InvalidInputError.of(
            files, read=f"statuses of {beyond} features", accepted=f"of {len(feature_set)}"
        )

    def share(place: int, *statuses: FeatureStatus) -> float:
        counted = sum(counts.get((place, int(status)), 0) for status in statuses)
        return counted / rows if rows else 0.0

    def unknown(place: int) -> float:
        known = all_present + sum(counts.get((place, int(each)), 0) for each in FeatureStatus)
        return (rows - known) / rows if rows else 1.0

    return tuple(
        FeatureShares(
            view=f"{ref.view}@{ref.view_version}",
            name=ref.feature,
            rows=rows,
            stale=share(place, FeatureStatus.STALE),
            defaulted=share(place, FeatureStatus.DEFAULTED),
            last_known=share(place, FeatureStatus.LAST_KNOWN),
            missing=share(place, FeatureStatus.MISSING),
            null=share(place, FeatureStatus.NULL, FeatureStatus.NULL_DEFAULTED),
            unread=share(place, FeatureStatus.UNREAD, FeatureStatus.UNREAD_DEFAULTED),
            unknown=unknown(place),
        )
        for place, ref in enumerate(feature_set, start=1)
    )
