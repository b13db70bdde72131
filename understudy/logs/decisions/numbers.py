"""The rule for which rows of a writer are missing. Pure."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Range(NamedTuple):
    """Consecutive numbers of rows, both ends included."""

    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1


def missing_ranges(present: Iterable[Range], *, last: int) -> tuple[Range, ...]:
    """Return the numbers from 1 to `last` that are in no range of `present`, in order."""
    return tuple(_gaps(present, last))


def _gaps(present: Iterable[Range], last: int) -> Iterator[Range]:
    following = 1
    for each in sorted(present):
        if each.first > last:
            break
        if each.first > following:
            yield Range(following, each.first - 1)
        following = max(following, each.last + 1)
    if following <= last:
        yield Range(following, last)


def ranges_of(numbers: Iterable[int]) -> tuple[Range, ...]:
    """Return numbers, in any order and repeated or not, as ranges."""
    found: list[Range] = []
    for number in sorted(numbers):
        if found and number <= found[-1].last + 1:
            found[-1] = Range(found[-1].first, number)
        else:
            found.append(Range(number, number))
    return tuple(found)


def united(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the numbers of all ranges, which may overlap, in as few as possible."""
    found: list[Range] = []
    for each in sorted(ranges):
        if found and each.first <= found[-1].last + 1:
            found[-1] = Range(found[-1].first, max(found[-1].last, each.last))
        else:
            found.append(each)
    return tuple(found)
