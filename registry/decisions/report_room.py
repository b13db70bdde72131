"""Room for reports: every report reaches all watchers, so their sums are bounded, not only each one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """The most that is kept of one kind of report."""

    reporters: int
    reporters_per_peer: int  # so that one machine cannot crowd out all others
    parts: int  # scorers of all hosts, or models of all routers
    size_bytes: int  # of all reports


@dataclass(frozen=True, slots=True)
class RoomTotals:
    """The sums that a new report would bring about."""

    reporters: int
    reporters_of_peer: int
    parts: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """The first sum that would be above its limit."""

    of: str
    wanted: int
    most: int

    def __str__(self) -> str:
        return f"{self.of}: {self.wanted}, at most {self.most}"


def shortage(after: RoomTotals, before: RoomTotals, limits: RoomLimits) -> Shortage | None:
    """Return the reason why there is no room, or None.

    A sum that does not grow is no reason: after a limit was lowered, reports may still shrink.

    Args:
        after: the sums with the new report in place of the reporter's last one.
        before: the sums as they are.
        limits: the bounds.
    """
    sums = (
        ("reporters from this address", "reporters_of_peer", limits.reporters_per_peer),
        ("reporters", "reporters", limits.reporters),
        ("entries of all reports", "parts", limits.parts),
        ("bytes of all reports", "size_bytes", limits.size_bytes),
    )
    for of, name, most in sums:
        wanted = getattr(after, name)
        if wanted > most and wanted > getattr(before, name):
            return Shortage(of, wanted, most)
    return None
