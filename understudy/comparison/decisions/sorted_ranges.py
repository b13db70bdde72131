"""Ranges of rows that are sorted one after the other, so that each sort fits into memory.

Rows are ordered by the digest of their unit, then by that of their request. Digests are uniform:
equal parts of their space have about equal numbers of units, and of the requests of one unit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_DIGESTS = 1 << 128
_LAST = _DIGESTS - 1


@dataclass(frozen=True, slots=True)
class SortedRange:
    """The digests of units and requests in a range; the ends belong to it."""

    first_unit: int
    last_unit: int
    first_id: int = 0
    last_id: int = _LAST

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of a query. They are texts, as no other type of a driver has 128 bits."""
        names = ("first_unit", "last_unit", "first_id", "last_id")
        return {name: str(getattr(self, name)) for name in names}


def sorted_ranges(rows: int, heavy: Mapping[int, int], most_rows: int) -> Iterator[SortedRange]:
    """Yield ranges in the order of rows; each row is in one of them.

    Args:
        rows: in all.
        heavy: the rows of units that have more than `most_rows`, by their digests.
        most_rows: of a range, about.
    """
    first = 0
    for last in _ends(_parts(rows - sum(heavy.values()), most_rows)):
        for unit in sorted(each for each in heavy if first <= each <= last):
            if first < unit:
                yield SortedRange(first, unit - 1)
            first_id = 0
            for last_id in _ends(_parts(heavy[unit], most_rows)):
                yield SortedRange(unit, unit, first_id, last_id)
                first_id = last_id + 1
            first = unit + 1
        if first <= last:
            yield SortedRange(first, last)
        first = last + 1


def _parts(rows: int, most_rows: int) -> int:
    return max(1, -(-rows // most_rows))


def _ends(parts: int) -> Iterator[int]:
    """Yield the last digest of each of so many equal parts."""
    return (_DIGESTS * part // parts - 1 for part in range(1, parts + 1))
