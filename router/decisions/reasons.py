"""The reasons why a row is degraded, as named in responses, log lines and metrics."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from understudy.domain.deployments import DegradationReason
from understudy.domain.features import FeatureStatus

INCOMPLETE = "a feature without a default is missing, and the model's input cannot hold that"
_REASON_OF = {
    FeatureStatus.STALE: DegradationReason.FEATURES_STALE,
    FeatureStatus.DEFAULTED: DegradationReason.FEATURES_DEFAULTED,
    FeatureStatus.LAST_KNOWN: DegradationReason.FEATURES_LAST_KNOWN,
    FeatureStatus.MISSING: DegradationReason.FEATURES_MISSING,
}


def marks_of(statuses: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the degrading statuses of each row as bits (1 << status); shape (n,).

    Args:
        statuses: shape (n, width) of FeatureStatus.
    """
    marks = np.zeros(len(statuses), dtype=np.uint8)
    for status in _REASON_OF:
        marks |= (statuses == status).any(axis=1).astype(np.uint8) << np.uint8(status)
    return marks


@lru_cache(maxsize=1024)
def feature_reasons(mark: int, gap: str) -> tuple[str, ...]:
    """Return the reasons of a row with that mark; `gap`: why the store was not read, or ""."""
    reasons = tuple(reason for status, reason in _REASON_OF.items() if mark >> status & 1)
    return (gap, *reasons) if gap and reasons else reasons
