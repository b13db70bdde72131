"""Rows on which an original and its conversion are compared beside the author's own. Pure.

Converters differ most where training data are thin: where a value is missing, a text is new, or a
number is large.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.domain.features import Feature, FeatureDtype

_UNSEEN = "a text that no training row has"
_TIMES_LARGER = 1e6
_LARGEST = 1e30  # far from the end of float32, so that the sum of a row is finite
_LARGEST_WHOLE = float(1 << 24)  # float32 holds every whole number up to it


class ProbeKind(StrEnum):
    GIVEN = "given"  # the author's rows
    MISSING = "missing"
    UNSEEN = "unseen text"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class Probe:
    """Rows in which one column has been changed; `place` is -1 for rows as given."""

    kind: ProbeKind
    place: int
    columns: tuple[NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.columns[0])


def probes_of(
    columns: Sequence[NDArray[Any]], features: Sequence[Feature], *, rows: int
) -> Iterator[Probe]:
    """Yield the rows to compare: some as given, and changed ones for each column.

    A value is missing only where its feature has no default: otherwise no model ever reads it so.

    Args:
        columns: shape (n,) each, float64 with NaN or str with "".
        features: one per column.
        rows: number of rows, evenly taken, that are changed for each column, 1 or more.
    """
    count = len(columns[0])
    chosen = np.unique(np.linspace(0, count - 1, min(rows, count)).astype(np.intp))
    base = tuple(column[chosen] for column in columns)
    for place, feature in enumerate(features):
        for kind, values in _changed(columns[place], feature, len(chosen)):
            yield Probe(kind, place, (*base[:place], values, *base[place + 1 :]))


def with_missing(
    columns: Sequence[NDArray[Any]], features: Sequence[Feature], places: Sequence[int]
) -> tuple[NDArray[Any], ...]:
    """Return the rows, and for each place a further row in which its value is missing.

    Args:
        columns: as in `probes_of`, of 1 row or more.
        features: one per column.
        places: of the columns that are to be missing once.
    """
    copied = np.arange(len(places)) % len(columns[0])
    at_place = np.array(places, dtype=np.intp)
    answer = []
    for place, (column, feature) in enumerate(zip(columns, features, strict=True)):
        further = column[copied]
        further[at_place == place] = "" if feature.dtype is FeatureDtype.STRING else np.nan
        answer.append(np.concatenate([column, further]))
    return tuple(answer)


def _changed(
    column: NDArray[Any], feature: Feature, rows: int
) -> Iterator[tuple[ProbeKind, NDArray[Any]]]:
    if feature.dtype is FeatureDtype.STRING:
        if feature.default is None:
            yield ProbeKind.MISSING, np.full(rows, "", dtype=np.object_)
        yield ProbeKind.UNSEEN, np.full(rows, _UNSEEN, dtype=np.object_)
        return
    if feature.default is None:  # of whole numbers too: a tensor of floats has NaN there
        yield ProbeKind.MISSING, np.full(rows, np.nan)
    if feature.dtype is not FeatureDtype.BOOL:
        large = _large(column, is_whole=feature.dtype is FeatureDtype.INT64)
        signs = np.where(np.arange(rows) % 2 == 0, 1.0, -1.0)
        yield ProbeKind.LARGE, signs * large


def _large(column: NDArray[Any], *, is_whole: bool) -> float:
    """Return a number that is far above those of the column, and equal in float32."""
    finite = np.abs(column[np.isfinite(column)])
    large = min(_LARGEST, _TIMES_LARGER * max(1.0, float(finite.max(initial=0.0))))
    return min(large, _LARGEST_WHOLE) if is_whole else float(np.float32(large))
