"""Calls without their one message: a bounded number of each address stays.

Headers cost their caller nearly nothing, and each such call holds a place of the cap on open calls.
"""

import asyncio

from understudy.runtime.front.context import AsgiContext, CallEnd
from understudy.runtime.rpc_boundary import peer_of

_LOOK_EVERY_S = 0.05  # while an address has more


class DueCalls:
    """Ends the oldest calls of an address that has more than `most`, unless their messages are on the way.

    The messages of a burst arrive after all of its headers, so a call is ended at the second look at it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_caller: dict[str, dict[AsgiContext, bool]] = {}  # with each call: seen before
        self._look: asyncio.TimerHandle | None = None

    def enter(self, context: AsgiContext) -> str:
        """Count a call in; return its caller, for `leave`."""
        caller = peer_of(context)
        calls = self._by_caller.setdefault(caller, {})
        calls[context] = False
        if len(calls) > self._most and self._look is None:
            self._look_later()
        return caller

    def leave(self, caller: str, context: AsgiContext) -> None:
        calls = self._by_caller[caller]
        del calls[context]
        if not calls:
            del self._by_caller[caller]

    def stop(self) -> None:
        """Look at no more calls."""
        if self._look is not None:
            self._look.cancel()

    def _look_later(self) -> None:
        self._look = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look_at_calls)

    def _look_at_calls(self) -> None:
        self._look = None
        for calls in self._by_caller.values():
            surplus = len(calls) - self._most
            if surplus <= 0:
                continue
            seen = [context for context, was_seen in calls.items() if was_seen]
            for context in seen[:surplus]:
                context.cancel(CallEnd.CROWDED)
            calls.update(dict.fromkeys(calls, True))
            if self._look is None:
                self._look_later()
