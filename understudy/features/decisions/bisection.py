"""The search for the members of a group whose reading ends the process that reads them. Pure.

Each end of a process costs a start, and each read nearly nothing; so a group is split in many
parts and not in two.
"""

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")
_PARTS = 16


@dataclass(frozen=True, slots=True)
class Bisection(Generic[T]):
    """`waiting` are the groups to read, the first one next; `guilty` ended a process, alone."""

    waiting: tuple[tuple[T, ...], ...]
    guilty: tuple[T, ...] = ()

    @classmethod
    def of(cls, group: tuple[T, ...]) -> "Bisection[T]":
        return cls((group,) if group else ())

    def after_answer(self) -> "Bisection[T]":
        """Return the search after the first group was read."""
        return replace(self, waiting=self.waiting[1:])

    def after_end(self) -> "Bisection[T]":
        """Return the search after reading the first group ended the process."""
        group, *rest = self.waiting
        if len(group) == 1:
            return Bisection(tuple(rest), (*self.guilty, *group))
        size = -(-len(group) // _PARTS)
        parts = [group[start : start + size] for start in range(0, len(group), size)]
        return Bisection((*parts, *rest), self.guilty)
