"""The differences between two registered versions, group by group."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NOTHING = "nothing"  # the other version has the field, this one does not


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which two versions differ."""

    group: str  # of the record, or "version" for parts outside it
    field: str  # path in the group
    one: Any  # value in the first version; NOTHING if it has none
    other: Any  # value in the second one


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the differing fields of two versions, in the order of their groups.

    Args:
        one: contents by group, each JSON values.
        other: those of the other version.
    """
    for group in dict.fromkeys((*one, *other)):
        yield from _within(group, "", one.get(group, NOTHING), other.get(group, NOTHING))


def _within(group: str, field: str, one: Any, other: Any) -> Iterator[Difference]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in dict.fromkeys((*one, *other)):
            inner = f"{field}.{name}" if field else str(name)
            yield from _within(group, inner, one.get(name, NOTHING), other.get(name, NOTHING))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _within(group, f"{field}[{place}]", left, right)
    elif one != other or isinstance(one, bool) is not isinstance(other, bool):
        yield Difference(group, field, one, other)
