"""Run the processes of a stack on one machine: start, wait until healthy, stop in reverse order."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2

from understudy.domain.errors import UnavailableError
from understudy.runtime.supervision.python_command import python_command

_POLL_S = 0.05
_PROBE_TIMEOUT_S = 1.0
_KILL_LIMIT_S = 5.0
_TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to run: `python ARGUMENTS`.

    It counts as started once `health_target` says SERVING; None: at once.
    """

    name: str
    arguments: tuple[str, ...]
    health_target: str | None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Running:
    spec: ProcessSpec
    process: Process


@dataclass(frozen=True, slots=True)
class Ended:
    name: str
    why: str  # for an operator, the name included


class Supervisor:
    """Owns processes from `start` until the `async with` block ends.

    Children live in sessions of their own: Ctrl-C reaches only us, and we stop them in order.
    They end with us even when we are killed (see `bound_to_parent`).
    """

    def __init__(self, log_dir: Path, *, stop_limit_s: float = 15.0) -> None:
        self._log_dir = log_dir
        self._stop_limit_s = stop_limit_s
        self._running: dict[str, _Running] = {}

    async def __aenter__(self) -> Self:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.stop_all()
        finally:
            for each in self._running.values():
                _kill_session(each.process)

    async def start(self, spec: ProcessSpec, *, ready_limit_s: float = 30.0) -> None:
        """Start `spec` and return once it is healthy.

        Raises:
            UnavailableError: it ended, or was not healthy within `ready_limit_s`.
        """
        with self.log_path(spec.name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *python_command(
                    "-m", "understudy.runtime.supervision.bound_to_parent", str(os.getpid())
                ),
                *python_command(*spec.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.environment},
                start_new_session=True,
            )
        self._running[spec.name] = _Running(spec, process)
        if spec.health_target is None:
            return
        try:
            async with asyncio.timeout(ready_limit_s):
                await self._until_healthy(spec.name, spec.health_target, process)
        except TimeoutError:
            raise UnavailableError(
                f"process {spec.name}",
                f"not healthy after {ready_limit_s:.0f} s; see {self.log_path(spec.name)}",
            ) from None

    async def stop(self, name: str) -> None:
        """Ask process `name` to end, and make it end after `stop_limit_s`."""
        process = self._running[name].process
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self._stop_limit_s)
        _kill_session(process)  # whatever it left behind; nothing, as a rule
        await asyncio.wait_for(process.wait(), _KILL_LIMIT_S)
        del self._running[name]

    async def stop_all(self) -> None:
        """Stop what runs, the last started first."""
        for name in reversed(tuple(self._running)):
            await self.stop(name)

    async def restart(self, name: str) -> None:
        """Stop process `name`, then start it anew with the same arguments."""
        spec = self._running[name].spec
        await self.stop(name)
        await self.start(spec)

    async def until_one_ends(self) -> Ended:
        """Wait until a process ends by itself; return which, and why."""
        names = tuple(self._running)
        waits = {asyncio.ensure_future(self._running[name].process.wait()): name for name in names}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        name = waits[done.pop()]
        return Ended(name, self._why_ended(name))

    def ended(self) -> tuple[str, ...]:
        """Return what ended by itself so far: name and why, for an operator."""
        return tuple(
            self._why_ended(name)
            for name, each in self._running.items()
            if each.process.returncode is not None
        )

    def pids(self) -> dict[str, int]:
        return {name: each.process.pid for name, each in self._running.items()}

    def log_path(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    async def _until_healthy(self, name: str, target: str, process: Process) -> None:
        async with grpc.aio.insecure_channel(
            target, options=[("grpc.max_reconnect_backoff_ms", 100)]
        ) as channel:
            while not await is_serving(channel):
                if process.returncode is not None:
                    raise UnavailableError(f"process {name}", self._why_ended(name))
                await asyncio.sleep(_POLL_S)

    def _why_ended(self, name: str) -> str:
        code = self._running[name].process.returncode
        path = self.log_path(name)
        return f"{name} ended with {code}; see {path}; it said last: {_last_line(path)}"


async def is_serving(channel: grpc.aio.Channel) -> bool:
    """Ask once for the health of the process behind `channel`."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        answer = await check(health_pb2.HealthCheckRequest(), timeout=_PROBE_TIMEOUT_S)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _kill_session(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_line(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing"
