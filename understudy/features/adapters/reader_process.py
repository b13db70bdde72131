"""The life of a reader process, for its keeper."""

import asyncio
import signal
import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from understudy.domain.restarts import GiveUp, Restart
from understudy.features.adapters.reader_connection import ReaderConnection
from understudy.features.adapters.reader_wire import Asked, Told
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.ending import Ending
from understudy.runtime.supervision.keeper import Kept

_LONGEST_REST_S = 60.0
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class ReaderProgram:
    """The program of a reader, and its store."""

    module: str
    url: str  # of the store, for people
    opening: object  # sent to the reader as OPEN


class ReaderUser(Protocol):
    """The side that reads."""

    def opened(self, process: "ReaderProcess", connection: ReaderConnection, note: str) -> None: ...

    def lost(self, process: "ReaderProcess", why: str) -> None: ...

    def told(self, process: "ReaderProcess", told: Told, body: bytes) -> None: ...

    def ended(self, why: str, again_s: float) -> None: ...


class ReaderProcess(Kept):
    """A reader on behalf of `user`."""

    def __init__(
        self, program: ReaderProgram, user: ReaderUser, signature: Callable[[], Hashable]
    ) -> None:
        self.starts = 0
        self._program = program
        self._user = user
        self._signature = signature
        self._signature_at_start: Hashable = None
        self._child: Child | None = None
        self._connection: ReaderConnection | None = None
        self._was_open = False
        self._why = ""  # its own reason for ending, or ours for killing it
        self._stop = asyncio.Event()

    async def start(self, stop: asyncio.Event) -> Child | None:
        if stop.is_set():
            return None
        self._stop = stop
        self._was_open, self._why = False, ""
        self._child = None
        self._signature_at_start = self._signature()
        connection = ReaderConnection(
            f"feature store {self._program.url}", tell=self._told, lost=self._lost
        )
        self._connection = connection
        self._child = await start_reader(self._program, connection)
        self.starts += 1
        return self._child

    @property
    def opening_pid(self) -> int | None:
        """The process that is opening the store; None if it is open, or no process runs."""
        if self._child is None or self._connection is None or self._was_open:
            return None
        return self._child.pid

    @property
    def open_connection(self) -> ReaderConnection | None:
        """The connection to a reader whose store is open; None if there is none."""
        return self._connection if self._was_open else None

    def kill(self, why: str) -> None:
        """End the process, which is then restarted."""
        self._why = why
        if self._child is not None:
            self._child.send_kill()

    def gone(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def judged(self, ending: Ending) -> Ending:
        """A reader that ends before its store is open would end again: the store is at fault."""
        why = self._why or f"its reader {ending.why}"
        if not self._was_open and not self._why:
            why += " while it opened the store"
        self._user.lost(self, why)
        return Ending(why, ending.exit_code, refused=not self._was_open)

    def starts_again(self, ending: Ending, plan: Restart) -> None:
        self._user.ended(ending.why, plan.after_s)

    def starts_later(self, why: str, plan: Restart) -> None:  # noqa: ARG002 - it is soon
        self._user.lost(self, why)

    async def rests(self, ending: Ending, given_up: GiveUp | None) -> bool:  # noqa: ARG002 - already told
        """Return when the store is worth another try, or on a stop."""
        waited_s = 0.0
        while waited_s < _LONGEST_REST_S and self._signature() == self._signature_at_start:
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._stop.wait()
            except TimeoutError:
                waited_s += _LOOK_EVERY_S
            else:
                return False
        return True

    def _lost(self) -> None:
        if not self._stop.is_set():
            self._user.lost(self, self._why or "its reader has ended")

    def _told(self, told: Told, body: bytes) -> None:
        if told is Told.READY and self._connection is not None:
            self._was_open = True
            self._user.opened(self, self._connection, body.decode(errors="replace"))
            return
        if told is Told.UNUSABLE:
            self._why = body.decode(errors="replace")
        self._user.told(self, told, body)


async def start_reader(program: ReaderProgram, connection: ReaderConnection) -> Child:
    """Start a reader, which is asked through `connection`.

    Raises:
        OSError: the system cannot start it.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 - the name of the argument is positional
    with theirs:
        spec = ChildSpec(
            ("-m", program.module, program.url, str(theirs.fileno())),
            orphaned_by=signal.SIGKILL,
            inherited=(theirs.fileno(),),
        )
        try:
            child = await start_child(spec)
        except OSError:
            ours.close()
            raise
    try:
        await asyncio.get_running_loop().create_connection(lambda: connection, sock=ours)
        connection.send(Asked.OPEN, program.opening)
    except BaseException:  # also if it is cancelled: the child must not stay
        ours.close()
        await child.kill()
        raise
    return child
