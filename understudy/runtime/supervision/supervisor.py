"""Several processes run as one: each starts once the one before is healthy; they stop in reverse."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from understudy.domain.errors import Fault, InvalidInputError, UnavailableError
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.children_run import all_children_run, members_of_session
from understudy.runtime.supervision.ending import ChildFailedError, Ending, ending_of
from understudy.runtime.supervision.liveness import until_hung
from understudy.runtime.supervision.probe import Probe
from understudy.runtime.supervision.readiness import until_ready
from understudy.runtime.transport.transport import LOCAL, Transport

_TAIL_BYTES = 64 * 1024
_MOST_ORPHANED_S = 900.0  # above every limit that orphans may have themselves
_TOLD = "understudy: "  # begins each line of a report of a failure


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to run: `python ARGUMENTS`.

    It counts as started once `health_target` reports SERVING; at once if that is None. From then
    on it is alive as long as `liveness_target` answers, by default the same address.
    """

    name: str
    arguments: tuple[str, ...]
    health_target: str | None
    environment: Mapping[str, str] = field(default_factory=dict)  # in addition to ours
    liveness_target: str | None = None
    serves_by_children: bool = False  # they answer callers, also while it hangs
    is_outlived: bool = False  # by its children, which serve until its successor's do
    transport: Transport = LOCAL  # to its addresses

    @property
    def alive_at(self) -> str | None:
        """The address whose answers prove that it does not hang; None if it has none."""
        return self.liveness_target or self.health_target


@dataclass(frozen=True, slots=True)
class _Running:
    spec: ProcessSpec
    child: Child
    output_from: int  # size of its log before it started, bytes


@dataclass(frozen=True, slots=True)
class Ended:
    name: str
    why: str  # for an operator, the name included
    refused: bool  # a restart would end the same way


class Supervisor:
    """Owns processes from `start` until the `async with` block ends.

    Each child has its own session: Ctrl-C reaches only the parent, which stops them in order.
    They end with the parent even if it is killed.
    """

    def __init__(
        self,
        log_dir: Path,
        *,
        stop_limit_s: float = 15.0,
        patience: Patience | None = None,
        liveness: LivenessPolicy | None = None,
    ) -> None:
        self._log_dir = log_dir
        self._stop_limit_s = stop_limit_s
        self._patience = patience or Patience()
        self._liveness = liveness or LivenessPolicy()
        self._running: dict[str, _Running] = {}
        self._orphans: list[psutil.Process] = []

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
                each.child.send_kill()
            self._kill_orphans(self._orphans)

    async def start(self, spec: ProcessSpec) -> None:
        """Start `spec` and return once it is healthy.

        Raises:
            InvalidInputError: it refused its settings; the faults are those that it reported.
            UnavailableError: it ended for another reason, or its start stalled; it is killed then.
        """
        output_from = _size_of(self.log_path(spec.name))
        child = await start_child(
            ChildSpec(
                spec.arguments,
                environment={**os.environ, **spec.environment},
                output=self.log_path(spec.name),
                own_session=True,
            )
        )
        self._running[spec.name] = _Running(spec, child, output_from)
        if spec.health_target is None:
            return
        never = asyncio.Event()  # a start is stopped by cancellation
        try:
            await until_ready(
                child, Probe(spec.health_target, spec.transport), self._patience, never
            )
        except ChildFailedError as failed:
            if failed.ending.refused:
                raise self._refusal_of(self._running[spec.name]) from failed
            why = self._told(spec.name, failed.ending)
            await child.kill()
            raise UnavailableError(f"process {spec.name}", why) from failed

    async def stop(self, name: str) -> None:
        """Ask process `name` to end, and make it end after `stop_limit_s`."""
        await self._running[name].child.stop(self._stop_limit_s)
        del self._running[name]

    async def stop_all(self) -> None:
        """Stop all processes, the last started first."""
        for name in reversed(tuple(self._running)):
            await self.stop(name)

    async def restart(self, name: str) -> None:
        """Stop process `name`, then start it again with the same arguments.

        Children that outlive a process which has died are left to serve until they end by
        themselves, also if its successor dies before it serves; they are killed with this
        supervisor, or after 15 minutes.
        """
        running = self._running[name]
        if running.spec.is_outlived and running.child.exit_code is not None:
            orphans = members_of_session(running.child.pid)
            self._orphans = [*(each for each in self._orphans if each.is_running()), *orphans]
            loop = asyncio.get_running_loop()
            loop.call_later(_MOST_ORPHANED_S, self._kill_orphans, orphans)
            del self._running[name]
        else:
            await self.stop(name)
        await self.start(running.spec)

    async def until_one_ends(self, tell: Callable[[str], None] = lambda _: None) -> Ended:
        """Wait until a process ends by itself or hangs; return its name and the reason.

        A process that hangs is killed, unless its children serve and would end with it. Then
        `tell` is called, and it is killed once one of them has ended.
        """
        names = tuple(self._running)
        waits = {
            asyncio.ensure_future(self._ending_of(self._running[each], tell)): each
            for each in names
        }
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        first = done.pop()
        ending, name = first.result(), waits[first]
        if ending.exit_code is None:
            running = self._running[name]
            await (running.child.kill_alone if running.spec.is_outlived else running.child.kill)()
        return Ended(name, self._told(name, ending), ending.refused)

    async def _ending_of(self, running: _Running, tell: Callable[[str], None]) -> Ending:
        never = asyncio.Event()  # the wait is ended by cancellation
        serving = _ServingChildren(running, tell)
        try:
            if (address := running.spec.alive_at) is None:
                return ending_of(await running.child.ended())
            await until_hung(
                *(running.child, Probe(address, running.spec.transport), self._liveness, never),
                serving.have_ended,
            )
        except ChildFailedError as failed:
            return failed.ending
        raise AssertionError(f"the wait for {running.spec.name} ended without a reason")

    @staticmethod
    def _kill_orphans(orphans: Sequence[psutil.Process]) -> None:
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):  # also if its id now names another process
                orphan.kill()

    def pids(self) -> dict[str, int]:
        return {name: each.child.pid for name, each in self._running.items()}

    def log_path(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    def _told(self, name: str, ending: Ending) -> str:
        path = self.log_path(name)
        return f"{name} {ending.why}; see {path}; its last line: {_last_line(path)}"

    def _refusal_of(self, running: _Running) -> InvalidInputError:
        """Return the faults that the process reported in its output, with its name."""
        name, path = running.spec.name, self.log_path(running.spec.name)
        with path.open("rb") as log:
            log.seek(max(running.output_from, path.stat().st_size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        told = [line.removeprefix(_TOLD) for line in lines if line.startswith(_TOLD)]
        faults = InvalidInputError.answered("; ".join(told)).faults or (
            Fault("settings", _last_line(path), f"settings without faults; see {path}"),
        )
        return InvalidInputError(
            [Fault(f"{name}: {each.field}", each.read, each.accepted) for each in faults]
        )


class _ServingChildren:
    """The reason not to kill a process that hangs."""

    def __init__(self, running: _Running, tell: Callable[[str], None]) -> None:
        self._running = running
        self._tell = tell
        self._has_told = False

    def have_ended(self) -> bool:
        """Return whether the hung process may be killed; tell once if not."""
        spec, pid = self._running.spec, self._running.child.pid
        if spec.is_outlived or not (spec.serves_by_children and all_children_run(pid)):
            return True
        if not self._has_told:
            self._has_told = True
            self._tell(
                f"{spec.name} (process {pid}) hangs; the processes that it started still serve, so "
                "it is replaced when one of them has ended, or when you kill it"
            )
        return False


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _last_line(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "nothing"
