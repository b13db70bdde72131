"""The room that reports take, for one event loop."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from registry.decisions.report_room import RoomLimits, RoomTotals, shortage
from understudy.domain.errors import OverloadedError

_RETRY_AFTER_MS = 1_000
_NO_PEER = ""  # of reports that an earlier process kept; they count in no share


@dataclass(frozen=True, slots=True)
class ReportSize:
    parts: int  # scorers or models
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Held:
    peer: str
    size: ReportSize


_NOTHING = ReportSize(0, 0)


class ReportRoom:
    """The sums over the last reports of one kind, kept so that a report costs the same with many."""

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        self._held: dict[str, _Held] = {}
        self._of_peer: Counter[str] = Counter()
        self._parts = self._size_bytes = 0

    def take(self, name: str, peer: str, size: ReportSize) -> None:
        """Give `name` room for a report of that size in place of its last one.

        Raises:
            OverloadedError: as `require`.
        """
        self.require(name, peer, size)
        self._put(name, _Held(peer, size))

    def require(self, name: str, peer: str, size: ReportSize) -> None:
        """Check that there is room for such a report, before any work on it.

        Raises:
            OverloadedError: a sum would exceed its limit; the last report keeps its room.
        """
        last = self._held.get(name)
        given_back = _NOTHING if last is None else last.size
        after = RoomTotals(
            reporters=len(self._held) + (last is None),
            reporters_of_peer=self._of_peer[peer] + (last is None or last.peer != peer),
            parts=self._parts - given_back.parts + size.parts,
            size_bytes=self._size_bytes - given_back.size_bytes + size.size_bytes,
        )
        if why := shortage(after, self._totals(peer), self._limits):
            raise OverloadedError(f"the room for reports ({why})", retry_after_ms=_RETRY_AFTER_MS)

    def restore(self, name: str, size: ReportSize) -> None:
        """Give room to a report that an earlier process has taken, whatever the limits are now."""
        self._put(name, _Held(_NO_PEER, size))

    def keep_only(self, names: Collection[str]) -> None:
        """Take the room of all other reporters back."""
        for name in self._held.keys() - set(names):
            self._drop(name)

    def _totals(self, peer: str) -> RoomTotals:
        return RoomTotals(len(self._held), self._of_peer[peer], self._parts, self._size_bytes)

    def _put(self, name: str, held: _Held) -> None:
        self._drop(name)
        self._held[name] = held
        self._of_peer[held.peer] += 1
        self._parts += held.size.parts
        self._size_bytes += held.size.size_bytes

    def _drop(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is None:
            return
        self._of_peer[held.peer] -= 1
        if not self._of_peer[held.peer]:
            del self._of_peer[held.peer]
        self._parts -= held.size.parts
        self._size_bytes -= held.size.size_bytes
