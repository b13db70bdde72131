"""Noticing that a child which was ready hangs."""

import asyncio
import time
from collections.abc import Callable

from understudy.domain.liveness import Liveness, LivenessPolicy, Replacements
from understudy.runtime.supervision.child import Child
from understudy.runtime.supervision.ending import ChildFailedError, Ending
from understudy.runtime.supervision.probe import Probe, ProbeAnswer
from understudy.runtime.supervision.readiness import until_ended_or


class HungChildren:
    """The hung children of a group of keepers, of which one at a time is replaced."""

    def __init__(self, longest_s: float | None = None) -> None:
        """`longest_s`: how long a replacement may hold up the next one; None for no limit."""
        self._replacements = Replacements(longest_s)

    def may_replace(self, child: str) -> bool:
        """Return whether `child` may be replaced now; if so, it is being replaced."""
        now_s = time.monotonic()
        if not self._replacements.may_begin(now_s):
            return False
        self._replacements = self._replacements.begun(child, now_s)
        return True

    def replaced(self, child: str) -> None:
        """Let the next one be replaced: `child` is ready, or stays down."""
        self._replacements = self._replacements.over(child)


async def until_hung(
    child: Child,
    probe: Probe,
    policy: LivenessPolicy,
    stop: asyncio.Event,
    may_replace: Callable[[], bool] = lambda: True,
    serves: Callable[[], None] = lambda: None,
) -> None:
    """Probe a child that is ready; return when `stop` is set.

    A hung child that must not be replaced yet is given as many misses again. `serves` is called
    after each answer of SERVING.

    Raises:
        ChildFailedError: the child ended, or hangs and may be replaced.
    """
    liveness = Liveness(policy, time.monotonic())
    pause_s = policy.interval_s
    while not stop.is_set():
        await until_ended_or(child, stop, pause_s)
        if stop.is_set():
            return
        began_s = time.monotonic()
        answer = await probe.ask(policy.timeout_s)
        now_s = time.monotonic()
        pause_s = max(0.0, policy.interval_s - (now_s - began_s))
        liveness = liveness.after_probe(now_s, answered=answer is not ProbeAnswer.NONE)
        if answer is ProbeAnswer.SERVING:
            serves()
        if liveness.hangs:
            if may_replace():
                raise ChildFailedError(
                    Ending(f"hung: {liveness.misses} liveness probes without an answer")
                )
            liveness = liveness.counted_anew()
