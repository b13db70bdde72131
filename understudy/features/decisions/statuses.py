"""The status of each value of a batch, as arrays: its origin, or the reason why there is none.

A record's null is a fact, and so is a result computed from facts alone. A value is not a fact if
its record is absent, too old, remembered or was not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import ORDINARY_STATUSES, Feature, FeatureStatus, FeatureView
from understudy.features.decisions.feature_columns import FeatureColumn
from understudy.features.decisions.record_format import DecodedRecords

TimesMs = int | npt.NDArray[np.int64]  # one time, or shape (n,)

_FEW_ROWS = 32  # up to this many rows a list is faster than an array
_NEVER_MS = np.iinfo(np.int64).max
# A computed value is as good as its worst input: the later in this order, the worse.
_OF_INPUTS = {
    **dict.fromkeys(ORDINARY_STATUSES, FeatureStatus.PRESENT),
    FeatureStatus.STALE: FeatureStatus.STALE,
    FeatureStatus.LAST_KNOWN: FeatureStatus.LAST_KNOWN,
    FeatureStatus.DEFAULTED: FeatureStatus.DEFAULTED,
    FeatureStatus.MISSING: FeatureStatus.DEFAULTED,
    FeatureStatus.UNREAD: FeatureStatus.UNREAD_DEFAULTED,
    FeatureStatus.UNREAD_DEFAULTED: FeatureStatus.UNREAD_DEFAULTED,
}
_BY_RANK = tuple(dict.fromkeys(_OF_INPUTS.values()))
_RANK_OF = np.array([_BY_RANK.index(_OF_INPUTS[status]) for status in FeatureStatus])


@dataclass(frozen=True, slots=True, eq=False)
class ViewStatuses:
    """The columns of one view in a feature set, and the limits on the age of their values."""

    places: npt.NDArray[np.intp]  # index in the feature set
    sources: npt.NDArray[np.intp]  # index in the view
    max_ages_ms: npt.NDArray[np.int64]
    least_max_age_ms: int | None  # None: no value of this view becomes stale or expires
    ttl_ms: int | None  # an older record counts as absent, even before the store removes it
    when_null: npt.NDArray[np.uint8]
    when_absent: npt.NDArray[np.uint8]
    when_unread: npt.NDArray[np.uint8]


def view_statuses(view: FeatureView, columns: Sequence[FeatureColumn]) -> ViewStatuses:
    """Return the rules for those columns of a feature set that are in `view`."""
    places = [place for place, column in enumerate(columns) if column.view is view]
    features = [columns[place].feature for place in places]
    ages = [feature.max_age_s for feature in features]
    ttl_ms = None if view.ttl_s is None else round(view.ttl_s * 1000)
    limits = [round(age * 1000) for age in ages if age is not None]
    if ttl_ms is not None:
        limits.append(ttl_ms)
    return ViewStatuses(
        places=np.array(places, dtype=np.intp),
        sources=np.array([columns[place].place_in_view for place in places], dtype=np.intp),
        max_ages_ms=np.array(
            [_NEVER_MS if age is None else round(age * 1000) for age in ages], dtype=np.int64
        ),
        least_max_age_ms=min(limits, default=None),
        ttl_ms=ttl_ms,
        when_null=np.array([status_when_null(feature) for feature in features], dtype=np.uint8),
        when_absent=np.array([status_when_absent(feature) for feature in features], dtype=np.uint8),
        when_unread=np.array([status_when_unread(feature) for feature in features], dtype=np.uint8),
    )


def has_stale_values(rules: ViewStatuses, decoded: DecodedRecords, *, now_ms: TimesMs) -> bool:
    """Return whether any record has expired, or is too old for a feature that is read from it."""
    if rules.least_max_age_ms is None or not len(decoded.parts):
        return False
    event_times_ms = decoded.event_times_ms
    if isinstance(now_ms, int) and len(event_times_ms) <= _FEW_ROWS:
        oldest_ms: int = min(event_times_ms.tolist())
        return oldest_ms < now_ms - rules.least_max_age_ms
    return bool((event_times_ms < now_ms - rules.least_max_age_ms).any())


def statuses_of(
    rules: ViewStatuses,
    decoded: DecodedRecords,
    *,
    now_ms: TimesMs,
    last_known: npt.NDArray[np.bool_] | None,
) -> npt.NDArray[np.uint8]:
    """Return the FeatureStatus of each value, shape (n, columns of the view).

    Args:
        rules: for the columns of the view.
        decoded: n records of the view.
        now_ms: UTC milliseconds since 1970, one time or one per row.
        last_known: shape (n,): rows whose record comes from memory and not from the store.
    """
    ages_ms = now_ms - decoded.event_times_ms
    stale = ages_ms[:, None] > rules.max_ages_ms
    statuses = np.where(stale, np.uint8(FeatureStatus.STALE), np.uint8(FeatureStatus.PRESENT))
    if last_known is not None:
        statuses[last_known] = FeatureStatus.LAST_KNOWN
    if not decoded.is_full:
        present = decoded.form.presence(decoded.parts)[:, rules.sources]
        # By now an old or remembered record may have a value where it had none; a lossy one had it.
        is_current = (statuses == FeatureStatus.PRESENT) & ~decoded.form.lossy(decoded.parts)[
            :, None
        ]
        null = np.where(is_current, rules.when_null, rules.when_absent)
        statuses = np.where(present, statuses, null)
    if decoded.absent is not None:
        statuses[decoded.absent] = rules.when_absent
    if rules.ttl_ms is not None:
        statuses[ages_ms > rules.ttl_ms] = rules.when_absent
    if last_known is not None or decoded.unread is not None:
        unread = np.zeros(len(statuses), dtype=np.bool_)
        for mask in (last_known, decoded.unread):
            if mask is not None:
                unread |= mask
        lost = unread[:, None] & (statuses == rules.when_absent)
        statuses = np.where(lost, rules.when_unread, statuses)
    return statuses


def computed_statuses(
    feature: Feature, inputs: npt.NDArray[np.uint8], *, is_there: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return the FeatureStatus of a computed feature, shape (n,).

    Args:
        feature: the computed one.
        inputs: FeatureStatus of the features that it is computed from, shape (n, inputs).
        is_there: shape (n,): rows in which the expression has a result.
    """
    worst = _RANK_OF[inputs].max(axis=1, initial=0)
    results = np.array(_BY_RANK, dtype=np.uint8)
    absent = {
        FeatureStatus.PRESENT: status_when_null(feature),
        FeatureStatus.LAST_KNOWN: status_when_unread(feature),
        FeatureStatus.UNREAD_DEFAULTED: status_when_unread(feature),
    }
    when_absent = status_when_absent(feature)
    nothing = np.array([absent.get(each, when_absent) for each in _BY_RANK], dtype=np.uint8)
    found: npt.NDArray[np.uint8] = np.where(is_there, results[worst], nothing[worst])
    return found


def status_when_null(feature: Feature) -> FeatureStatus:
    """Return the status of a feature whose record has no value for it."""
    return FeatureStatus.NULL if feature.default is None else FeatureStatus.NULL_DEFAULTED


def status_when_absent(feature: Feature) -> FeatureStatus:
    """Return the status of a value that was not found."""
    return FeatureStatus.MISSING if feature.default is None else FeatureStatus.DEFAULTED


def status_when_unread(feature: Feature) -> FeatureStatus:
    """Return the status of a value for which the store did not answer."""
    return FeatureStatus.UNREAD if feature.default is None else FeatureStatus.UNREAD_DEFAULTED


def unread_statuses(columns: Sequence[FeatureColumn]) -> npt.NDArray[np.uint8]:
    """Return the statuses of a row before any source is read: every stored value is absent."""
    statuses = [0 if column.is_stored else status_when_absent(column.feature) for column in columns]
    return np.array(statuses, dtype=np.uint8)


def in_ms(time_s: float | npt.NDArray[np.float64]) -> TimesMs:
    """Return the time in whole milliseconds."""
    if isinstance(time_s, np.ndarray):
        return np.rint(time_s * 1000).astype(np.int64)
    return round(time_s * 1000)
