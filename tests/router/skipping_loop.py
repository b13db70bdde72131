"""An event loop whose time passes at once: who sleeps is woken without anybody's waiting."""

import asyncio
import selectors
from typing import Any


class SkippingLoop(asyncio.SelectorEventLoop):
    """Where there is nothing to do until a timer, the timer is due: its clock skips ahead.

    For code without sockets or threads, whose answers it would not wait for.
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
            raise AssertionError("nothing will ever happen: somebody waits in vain")
        self._loop.skip(timeout)
        return super().select(0)
