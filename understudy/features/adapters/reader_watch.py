"""The watch over one reader: it must answer, and must make progress while it opens its store."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from understudy.domain.errors import UnavailableError
from understudy.domain.progress import Patience, Wait
from understudy.features.adapters.reader_process import ReaderProcess
from understudy.features.adapters.reader_wire import Asked
from understudy.runtime.supervision.cpu_time import cpu_s_of_tree
from understudy.runtime.unless_stopped import unless_stopped

_LOOK_EVERY_S = 1.0
_LOOK_LIMIT_S = 2.0
_MOST_MISSES = 3  # then it is hung, and replaced


class ReaderWatch:
    """Asks `process` how it is, and ends it if it does not answer."""

    def __init__(self, process: ReaderProcess, told: Callable[[dict[str, Any]], None]) -> None:
        """`told` receives the condition of the reader."""
        self._process = process
        self._told = told
        self._misses = 0
        self._opening: tuple[int, Wait] | None = None  # pid of a reader that is opening the store

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        while not stop.is_set():
            await unless_stopped(stop, asyncio.sleep(_LOOK_EVERY_S))
            await self._look()

    async def _look(self) -> None:
        connection = self._process.open_connection
        if connection is None:
            self._misses = 0
            self._look_at_opening()
            return
        try:
            body = await connection.ask(Asked.CONDITION, None, timeout_s=_LOOK_LIMIT_S)
        except UnavailableError:
            self._misses += 1
        else:
            self._misses = 0
            self._told(json.loads(body))
        if self._misses >= _MOST_MISSES:
            self._process.kill("it does not answer")
            self._misses = 0

    def _look_at_opening(self) -> None:
        """End a reader that makes no progress in opening its store."""
        pid = self._process.opening_pid
        if pid is None:
            self._opening = None
            return
        now_s = asyncio.get_running_loop().time()
        known, wait = self._opening or (None, None)
        if wait is None or known != pid:
            wait = Wait(Patience(), now_s)
        wait = wait.after_look(now_s, cpu_s=cpu_s_of_tree(pid))
        self._opening = (pid, wait)
        if wait.given_up:
            self._process.kill(f"it did not open the store: {wait.given_up}")
