"""Comparison of served values with the history, one feature at a time, by their origin.

Skew concerns values that were read from the store, nulls of its records included, or were absent
from it. A default in place of a record, or a last-known value, where the history has another one belongs to a degraded answer, which says so itself: it is
counted on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from understudy.domain.features import FeatureStatus

Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[np.int64]
UNKNOWN = 255  # in a column of statuses: the log does not say
_FROM_STORE = (
    FeatureStatus.PRESENT,
    FeatureStatus.STALE,
    FeatureStatus.NULL,
    FeatureStatus.NULL_DEFAULTED,
)


@dataclass(frozen=True, slots=True)
class WorstCase:
    key: str
    served: float
    expected: float
    status: str  # of the served value


@dataclass(frozen=True, slots=True)
class StatusParity:
    """Agreement of the values of one status with the history."""

    status: str
    values: int
    mismatches: int


@dataclass(frozen=True, slots=True)
class FeatureParity:
    """Agreement between the served values of one feature and its history."""

    name: str
    compared: int  # values read from the store, and replaced ones that the history lacks as well
    mismatches: int  # among those
    late: int  # compared: equal to the history as it was known then, but not as it is known now
    replaced: int  # by a default or a last-known value, although the history has another value
    from_request: int  # sent with the request, so not part of the history
    unknown: int  # values without a known status, of which nothing can be said
    largest_difference: float  # among compared, finite values
    by_status: tuple[StatusParity, ...]  # of the statuses that occur, replaced values included
    worst: tuple[WorstCase, ...]

    @property
    def is_only_replaced(self) -> bool:
        """Return whether no value was read from the store, although the history had some."""
        return self.replaced > 0 and not self.compared

    @property
    def mismatch_rate(self) -> float:
        return self.mismatches / self.compared if self.compared else 0.0


def has_values_of_store(statuses: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows with a value that the store has had; statuses of shape (n, k)."""
    is_of_store = np.isin(statuses, (*_FROM_STORE, FeatureStatus.LAST_KNOWN))
    return np.asarray(is_of_store.any(axis=1), dtype=np.bool_)


def parity_of(
    name: str,
    served: Numbers,
    statuses: npt.NDArray[np.uint8],
    *,
    expected: Numbers,
    known: Numbers,
    keys: Sequence[str],
    tolerance: float,
    worst: int,
) -> FeatureParity:
    """Compare n served values of a feature with the expected ones.

    Args:
        name: of the feature.
        served: shape (n,), of the same type as `expected` and `known`.
        statuses: the FeatureStatus of each value, shape (n,).
        expected: shape (n,); NaN where there is no value. Two NaN count as equal.
        known: the same, of the records that had been ingested by the time of each row.
        keys: entity ids, which name the worst cases.
        tolerance: relative difference up to which two numbers count as equal.
        worst: number of cases to keep: first absent against present, then the largest differences.
    """
    differences, equal = _compared(served, expected, tolerance)
    is_from_request = statuses == FeatureStatus.FROM_REQUEST
    is_unknown = ~np.isin(statuses, list(FeatureStatus))
    is_late = _compared(served, known, tolerance)[1] & ~(equal | is_from_request | is_unknown)
    explained = equal | is_late
    is_replaced = ~(np.isin(statuses, _FROM_STORE) | is_from_request | is_unknown | explained)
    is_compared = ~(is_from_request | is_unknown | is_replaced)
    differs = is_compared & ~explained
    finite = differences[differs & np.isfinite(differences)]
    ranked = np.where(np.isnan(differences), np.inf, differences)
    places = np.flatnonzero(differs)
    order = places[np.argsort(-ranked[places], kind="stable")][:worst]
    return FeatureParity(
        name=name,
        compared=int(is_compared.sum()),
        mismatches=int(differs.sum()),
        late=int(is_late.sum()),
        replaced=int(is_replaced.sum()),
        from_request=int(is_from_request.sum()),
        unknown=int(is_unknown.sum()),
        largest_difference=float(finite.max()) if len(finite) else 0.0,
        by_status=tuple(
            StatusParity(status.name.lower(), int(of.sum()), int((of & ~explained).sum()))
            for status in FeatureStatus
            if (of := statuses == status).any() and status is not FeatureStatus.FROM_REQUEST
        ),
        worst=tuple(
            WorstCase(
                keys[place],
                served[place].item(),
                expected[place].item(),
                FeatureStatus(int(statuses[place])).name.lower(),
            )
            for place in order.tolist()
        ),
    )


def _compared(
    served: Numbers, expected: Numbers, tolerance: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the differences, and a mask of the values that count as equal."""
    with np.errstate(invalid="ignore"):
        differences = _differences(served, expected)
        sizes = np.maximum(np.abs(served.astype(np.float64)), np.abs(expected.astype(np.float64)))
        equal = (differences <= tolerance * sizes) | (served == expected)
    return differences, equal | (np.isnan(served) & np.isnan(expected))


def _differences(served: Numbers, expected: Numbers) -> npt.NDArray[np.float64]:
    """Return absolute differences; not 0 for any two different integers."""
    if served.dtype.kind != "i":
        return np.abs(served.astype(np.float64) - expected.astype(np.float64))
    greater, less = np.maximum(served, expected), np.minimum(served, expected)
    # As unsigned numbers the difference of any two fits.
    return (greater.view(np.uint64) - less.view(np.uint64)).astype(np.float64)
