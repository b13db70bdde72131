"""The versions that answer again, and have not for long enough to act as champion."""

import asyncio
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

import structlog

from router.decisions.steadiness import Steadiness
from understudy.domain.versions import VersionRef

_MARGIN_S = 0.01  # above the rounding of clocks
_log = structlog.get_logger()


class SteadyVersions:
    """Keeps the steadiness of each version, and looks again when a hold ends."""

    def __init__(self, now_s: Callable[[], float], *, look_again: Callable[[], None]) -> None:
        """`look_again` is called when a version may act again."""
        self._now_s = now_s
        self._look_again = look_again
        self._known: dict[VersionRef, Steadiness] = {}
        self._held: frozenset[VersionRef] = frozenset()

    def held(
        self, model: str, ready: Iterable[int], unanswering: AbstractSet[int]
    ) -> dict[int, str]:
        """Return the versions of `ready` that answer and must not act yet, each with the reason."""
        now_s = self._now_s()
        found: dict[int, str] = {}
        for number in ready:
            ref = VersionRef(model, number)
            steadiness = self._known.get(ref, Steadiness()).after_look(
                answers=number not in unanswering, now_s=now_s
            )
            self._keep(ref, steadiness)
            if left_s := steadiness.left_s(now_s):
                losses = len(steadiness.lost_at_s)
                found[number] = (
                    f"it stopped answering {losses} times in a minute, and acts again after "
                    f"{steadiness.hold_s:g} s of answers"
                )
                self._hold(ref, losses, left_s)
            elif ref in self._held:
                self._held -= {ref}
        return found

    def _keep(self, ref: VersionRef, steadiness: Steadiness) -> None:
        if steadiness == Steadiness():
            self._known.pop(ref, None)
        else:
            self._known[ref] = steadiness

    def _hold(self, ref: VersionRef, losses: int, left_s: float) -> None:
        if ref in self._held:
            return
        self._held |= {ref}
        _log.warning(
            "version_unsteady", version=str(ref), losses=losses, acts_in_s=round(left_s, 1)
        )
        asyncio.get_running_loop().call_later(left_s + _MARGIN_S, self._look_again)
