"""One child process, which ends with its parent: start, exit, stop."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from understudy.runtime.supervision.python_command import bound_python_command

_REAP_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """The specification of a child process."""

    arguments: tuple[str, ...]  # arguments of Python: -m MODULE …
    environment: Mapping[str, str] | None = (
        None  # the whole environment; None for this process's own
    )
    output: Path | None = None  # file to append to; None for the output of this process
    own_session: bool = False  # Ctrl-C does not reach it, and its descendants end with it
    orphaned_by: signal.Signals = signal.SIGTERM  # sent when this process dies
    inherited: tuple[int, ...] = ()  # file descriptors that the child keeps open


class Child:
    """A process that this process has started, running or not."""

    def __init__(self, process: Process, *, own_session: bool) -> None:
        self._process = process
        self._own_session = own_session

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative if a signal ended it; None while it runs."""
        return self._process.returncode

    async def ended(self) -> int:
        """Wait for its exit; return the exit code."""
        return await self._process.wait()

    async def runs_on(self, longest_s: float | None, stop: asyncio.Event) -> bool:
        """Wait for its exit, for `stop` or for `longest_s`; return whether it still runs."""
        waits = {
            asyncio.ensure_future(self._process.wait()),
            asyncio.ensure_future(stop.wait()),
        }
        try:
            await asyncio.wait(waits, timeout=longest_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return self.exit_code is None

    async def stop(self, kill_after_s: float) -> int:
        """Send SIGTERM, then SIGKILL after `kill_after_s`; return the exit code."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(kill_after_s):
                    await self.ended()
        return await self.kill()

    async def kill(self) -> int:
        """Kill it, and the rest of its own session; return the exit code."""
        self.send_kill()
        return await self._reaped()

    async def kill_alone(self) -> int:
        """Kill it, and leave the rest of its own session alone; return the exit code."""
        with suppress(ProcessLookupError):
            self._process.kill()
        return await self._reaped()

    async def _reaped(self) -> int:
        with suppress(TimeoutError):  # stuck in the kernel, e.g. on a disk that does not answer
            async with asyncio.timeout(_REAP_LIMIT_S):
                await self.ended()
        return -signal.SIGKILL if self.exit_code is None else self.exit_code

    def send_kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if self._own_session:
                os.killpg(self.pid, signal.SIGKILL)
            elif self.exit_code is None:
                self._process.kill()


async def start_child(spec: ChildSpec) -> Child:
    """Start a process that ends with this one, and imports nothing from the working directory.

    Raises:
        OSError: the system cannot start it, or its output cannot be written.
    """
    with ExitStack() as opened:
        output = opened.enter_context(spec.output.open("ab")) if spec.output else None
        process = await asyncio.create_subprocess_exec(
            *bound_python_command(*spec.arguments, orphaned_by=spec.orphaned_by),
            stdin=DEVNULL,
            stdout=output,
            stderr=output,
            env=spec.environment,
            start_new_session=spec.own_session,
            pass_fds=spec.inherited,
        )
    return Child(process, own_session=spec.own_session)
