"""The status of each value of a batch, as arrays: present, stale, defaulted or missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import Feature, FeatureStatus, FeatureView
from understudy.features.decisions.feature_columns import FeatureColumn
from understudy.features.decisions.record_format import DecodedRecords

TimesMs = int | npt.NDArray[np.int64]  # one time, or shape (n,)

_FEW_ROWS = 32  # up to this many rows a list is faster than an array
_NEVER_MS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class ViewStatuses:
    """The columns of one view in a feature set, and the limits on the age of their values."""

    places: npt.NDArray[np.intp]  # index in the feature set
    sources: npt.NDArray[np.intp]  # index in the view
    max_ages_ms: npt.NDArray[np.int64]
    least_max_age_ms: int | None  # None: no value of this view becomes stale or expires
    ttl_ms: int | None  # an older record counts as absent, even before the store removes it
    when_absent: npt.NDArray[np.uint8]


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
        when_absent=np.array([status_when_absent(feature) for feature in features], dtype=np.uint8),
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
        statuses = np.where(present, statuses, rules.when_absent)
    if rules.ttl_ms is not None:
        statuses[ages_ms > rules.ttl_ms] = rules.when_absent
    return statuses


def status_when_absent(feature: Feature) -> FeatureStatus:
    """Return the status of a value that was not found."""
    return FeatureStatus.MISSING if feature.default is None else FeatureStatus.DEFAULTED


def unread_statuses(columns: Sequence[FeatureColumn]) -> npt.NDArray[np.uint8]:
    """Return the statuses of a row before any source is read: every stored value is absent."""
    statuses = [0 if column.is_stored else status_when_absent(column.feature) for column in columns]
    return np.array(statuses, dtype=np.uint8)


def in_ms(time_s: float | npt.NDArray[np.float64]) -> TimesMs:
    """Return the time in whole milliseconds."""
    if isinstance(time_s, np.ndarray):
        return np.rint(time_s * 1000).astype(np.int64)
    return round(time_s * 1000)
