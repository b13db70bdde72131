"""Reads in a process of their own, to find the ids that end it."""

import asyncio
import time
from collections.abc import Sequence

from understudy.domain.errors import UnavailableError
from understudy.features.adapters.reader_connection import ReaderConnection, ReaderEndedError
from understudy.features.adapters.reader_process import ReaderProgram, start_reader
from understudy.features.adapters.reader_wire import Asked, Told, unpacked_records
from understudy.features.adapters.withheld_ids import Suspect, reads_of
from understudy.features.decisions.bisection import Bisection
from understudy.features.ports import UNANSWERED
from understudy.runtime.supervision.child import Child

_OPENING_LIMIT_S = 30.0
_READ_LIMIT_S = 5.0


class Prober:
    """Starts readers, and lets them read suspects."""

    def __init__(self, program: ReaderProgram) -> None:
        self._program = program

    async def guilty_among(self, suspects: Sequence[Suspect]) -> tuple[Suspect, ...]:
        """Return the suspects that end their reader, each alone.

        Args:
            suspects: ids from reads of the same views.

        Raises:
            UnavailableError: the store does not answer, so nothing is known.
            OSError: no reader can be started.
        """
        search = Bisection.of(tuple(suspects))
        probe: _Probe | None = None
        try:
            while search.waiting:
                probe = probe or await _Probe.start(self._program)
                try:
                    await probe.read(search.waiting[0])
                    search = search.after_answer()
                except ReaderEndedError:
                    search = search.after_end()
                    await probe.close()
                    probe = None
        finally:
            if probe is not None:
                await probe.close()
        return search.guilty


class _Probe:
    """One reader process."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._child: Child | None = None
        self._views = 0  # sent so far
        self._is_open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = ReaderConnection(
            f"feature store {url}", tell=self._told, lost=self._lost
        )

    @classmethod
    async def start(cls, program: ReaderProgram) -> "_Probe":
        """Return a reader whose store is open.

        Raises:
            UnavailableError: it cannot open the store.
        """
        probe = cls(program.url)
        try:
            probe._child = await start_reader(program, probe._connection)
            async with asyncio.timeout(_OPENING_LIMIT_S):
                await probe._is_open
        except BaseException as error:  # also if it is cancelled: the child must not stay
            await probe.close()
            if isinstance(error, TimeoutError):
                raise UnavailableError(
                    f"feature store {program.url}", "a probe does not open"
                ) from error
            raise
        return probe

    async def read(self, suspects: Sequence[Suspect]) -> None:
        """Read all of `suspects`.

        Raises:
            ReaderEndedError: that ended the reader.
            UnavailableError: the store did not answer for all of them.
        """
        reads = reads_of(suspects)
        for read in reads:
            self._connection.send(Asked.VIEW, read.view)
        asked = (
            time.monotonic() + _READ_LIMIT_S,
            [(self._views + place, read.entity_ids) for place, read in enumerate(reads)],
        )
        self._views += len(reads)
        body = await self._connection.ask(Asked.READ, asked, timeout_s=_READ_LIMIT_S)
        records = unpacked_records(body, [len(read.entity_ids) for read in reads])
        if any(UNANSWERED in each for each in records):
            raise UnavailableError(f"feature store {self._url}", "a probe was answered in part")

    async def close(self) -> None:
        if not self._is_open.cancel() and not self._is_open.cancelled():
            self._is_open.exception()  # it is known, whether or not it was waited for
        self._connection.close()
        if self._child is not None:
            await self._child.kill()

    def _told(self, told: Told, body: bytes) -> None:
        if self._is_open.done():
            return
        if told is Told.READY:
            self._is_open.set_result(None)
        elif told is Told.UNUSABLE:
            why = body.decode(errors="replace")
            self._is_open.set_exception(UnavailableError(f"feature store {self._url}", why))

    def _lost(self) -> None:
        if not self._is_open.done():
            why = "a probe ended while it opened the store"
            self._is_open.set_exception(UnavailableError(f"feature store {self._url}", why))
