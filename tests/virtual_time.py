"""Event loops with their own clocks, so that no test depends on the machine's speed.

On a `SkippingLoop` waiting takes no time: its clock jumps to the next timer when nothing else is due.
Whether a deadline of 20 ms is met depends on the rules alone, and an hour may pass.
On a `StoppedClockLoop` no time passes unless the test says so, for code that needs sockets or threads.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time, which starts at 0 and passes only while the loop is idle.

    For code without sockets and threads: time would run ahead while these work.
    """

    def __init__(self) -> None:
        self._skipped_s = 0.0
        super().__init__(_SkippingSelector(self))

    def time(self) -> float:
        return self._skipped_s

    def skip(self, seconds: float) -> None:
        """Let `seconds` pass."""
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


class StoppedClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by `skip`; sockets and threads work as usual."""

    def __init__(self) -> None:
        self._skipped_s = 0.0
        super().__init__()

    def time(self) -> float:
        return self._skipped_s

    def skip(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._skipped_s += seconds


def skip(seconds: float) -> None:
    """Let `seconds` pass on the running loop at once, as if a call blocked it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SkippingLoop | StoppedClockLoop), "the test needs a marker of its loop"
    loop.skip(seconds)


async def turns(count: int = 10) -> None:
    """Let the loop turn `count` times without any time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


def run_on_virtual_time(scenario: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `scenario` like `asyncio.run`, for tests that are not coroutines themselves."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(scenario)
