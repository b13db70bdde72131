"""Conditions of writes, compiled once for many records that differ in a few numbers."""

from collections.abc import Callable
from typing import Any, Final

_VALUE: Final = "val"  # of a constant in a compiled expression


class ConditionTemplate:
    """A compiled expression with integers to fill in.

    Compilation takes 130 us of CPU, more than all else in the write of a record.
    """

    def __init__(self, build: Callable[..., Any], places: int) -> None:
        """Compile `build(integer, ...)`, an expression of `places` integers."""
        # No constant of a condition is that small, so each is found wherever it occurs.
        marks = [-(2**63) + place for place in range(places)]
        self._compiled: list[tuple[Any, ...]] = build(*marks).compile()
        self._found = [
            (at, marks.index(fixed[_VALUE]))
            for at, (_, _, fixed, _) in enumerate(self._compiled)
            if fixed is not None and fixed.get(_VALUE) in marks
        ]

    def with_values(self, *values: int) -> list[tuple[Any, ...]]:
        """Return the compiled expression of these integers."""
        filled = self._compiled.copy()
        for at, place in self._found:
            operation, result_type, _, children = filled[at]
            filled[at] = (operation, result_type, {_VALUE: values[place]}, children)
        return filled
