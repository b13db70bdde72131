"""Seats for calls that stay: a number in all, and a share of it for each peer.

The share keeps one machine, which may be at fault, from taking the seats of all others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """The most of something in all, and to each peer: seats, or bytes.

    Raises:
        ValueError: on construction, if a peer's share exceeds the total and would never act.
    """

    total: int
    per_peer: int

    def __post_init__(self) -> None:
        if not 1 <= self.per_peer <= self.total:
            raise ValueError(f"{self.per_peer} per peer, of {self.total} in all")


class Full(Enum):
    """The list in which there is no free seat."""

    ALL = "all"
    OF_PEER = "of_peer"


@dataclass(frozen=True, slots=True)
class Seats:
    """The taken seats; only peers with a seat are listed."""

    limits: ShareLimits
    taken: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(self.taken.values())

    def with_one_for(self, peer: str) -> "Seats | Full":
        """Return the seats after `peer` has taken one, or the list that is full."""
        held = self.taken.get(peer, 0)
        if held >= self.limits.per_peer:
            return Full.OF_PEER
        if self.count >= self.limits.total:
            return Full.ALL
        return replace(self, taken={**self.taken, peer: held + 1})

    def with_one_less_for(self, peer: str) -> "Seats":
        """Return the seats after `peer` has left one."""
        taken = dict(self.taken)
        held = taken.pop(peer)
        return replace(self, taken={**taken, peer: held - 1} if held > 1 else taken)
