"""Time for tests that takes none: a loop whose clock jumps to the next timer when nothing else is due.

What the code under test waits for arrives at once, and in the order of its timers, however busy the
machine is. So a deadline of 20 ms is met or missed by the rules alone, and an hour may pass.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0 and passes only while the loop is idle.

    For code without sockets and threads: time would run away while these work.
    """

    def __init__(self) -> None:
        self._skipped_s = 0.0
        super().__init__(_SkippingSelector(self))

    def time(self) -> float:
        return self._skipped_s

    def skip(self, seconds: float) -> None:
        """Let that much time pass."""
        self._skipped_s += seconds


class _SkippingSelector(selectors.SelectSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("nothing will ever happen: the test waits in vain")
        self._loop.skip(max(0.0, timeout))
        return super().select(0)


def skip(seconds: float) -> None:
    """Hold the running loop up for that long, as a blocking call does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop), "mark the test with virtual_time"
    loop.skip(seconds)


def run_on_virtual_time(scenario: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `scenario` as `asyncio.run` does, for tests that are no coroutines themselves."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(scenario)
