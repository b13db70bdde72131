"""A feature store that is read by a process of its own, because its content can end that process.

The reader is restarted when it ends. A store that cannot be opened, or whose file is damaged, is
tried again when its file has changed, and from time to time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.domain.logged_ids import LoggedIds
from understudy.domain.restarts import RestartPolicy
from understudy.features.adapters.prober import Prober
from understudy.features.adapters.quarantine import AGAIN_AFTER_S, Quarantine
from understudy.features.adapters.reader_connection import ReaderConnection
from understudy.features.adapters.reader_process import ReaderProcess, ReaderProgram
from understudy.features.adapters.reader_watch import ReaderWatch
from understudy.features.adapters.reader_wire import Asked, Told, unpacked_records
from understudy.features.adapters.store_log import NoLog, StoreLog
from understudy.features.adapters.withheld_ids import WithheldIds, with_unanswered
from understudy.features.ports import ViewRead
from understudy.runtime.supervision.keeper import Care, Keeper
from understudy.runtime.unless_stopped import unless_stopped

_CARE = Care(
    RestartPolicy(first_back_off_s=0.05, longest_back_off_s=1.0, budget=None, window_s=60.0),
    kill_after_s=1.0,
)
_OPENING_LIMIT_S = 10.0  # then its user starts without it
_SPARE_AFTER_S = 10.0
_MOST_VIEWS = 4096  # known to one reader; then a new one takes its place


@asynccontextmanager
async def reading_process(
    url: str,
    module: str,
    opening: object,
    signature: Callable[[], Hashable],
    *,
    log: StoreLog | None = None,
    ids: LoggedIds | None = None,
    puts_aside: bool = False,
    again_after_s: float = AGAIN_AFTER_S,
    spare_after_s: float = _SPARE_AFTER_S,
) -> AsyncIterator["IsolatedStore"]:
    """Run a reader of the store at `url` while the block runs.

    Args:
        url: the store.
        module: the program of the reader.
        opening: sent to the reader, for it to open the store.
        signature: changes when a store that could not be opened is worth another try.
        log: receives faults; None if they are only of interest to reads.
        ids: the rule by which `log` contains ids; None if it contains none.
        puts_aside: find the ids whose records end the reader, and read them no more. A spare reader
            takes the place of one that ends: no record damages the store itself.
        again_after_s: the interval between trials of ids put aside.
        spare_after_s: delay of the spare's start, so that it does not compete with other starts.
    """
    stop = asyncio.Event()
    program = ReaderProgram(module, url, opening)
    heard = log or NoLog()
    quarantine = (
        Quarantine(url, Prober(program), heard, ids=ids, again_after_s=again_after_s)
        if puts_aside
        else None
    )
    store = IsolatedStore(url, heard, quarantine, spare_after_s=spare_after_s)
    keeping = asyncio.ensure_future(store.keep(program, signature, stop))
    try:
        await store.settled()
        yield store
    finally:
        stop.set()
        await keeping


@dataclass(frozen=True, slots=True)
class _Spare:
    """A reader whose store is open, and that is not used."""

    process: ReaderProcess
    connection: ReaderConnection
    note: str  # of its store; "" if that is well


class IsolatedStore:
    """Sends reads to the reader; while there is none, every read is unavailable."""

    def __init__(
        self, url: str, log: StoreLog, quarantine: Quarantine | None, *, spare_after_s: float
    ) -> None:
        self._url = url
        self._log = log
        self._quarantine = quarantine
        self._withheld = WithheldIds() if quarantine is None else quarantine.withheld
        self._dependency = f"feature store {url}"
        self._connection: ReaderConnection | None = None
        self._processes: list[ReaderProcess] = []
        self._used: ReaderProcess | None = None
        self._spare: _Spare | None = None
        self._spare_after_s = spare_after_s
        self._trouble = "its reader has not started"
        self._is_settled = asyncio.Event()
        self._counters: Mapping[str, int] = {}
        self._views: dict[FeatureView, int] = {}
        self._known: dict[int, tuple[FeatureView, int]] = {}  # by id: hashing a view is slow

    async def keep(
        self, program: ReaderProgram, signature: Callable[[], Hashable], stop: asyncio.Event
    ) -> None:
        """Keep a reader running until `stop` is set, and a spare one if records can end readers."""

        def kept() -> ReaderProcess:
            self._processes.append(ReaderProcess(program, self, signature))
            return self._processes[-1]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(kept(), stop))
            if self._quarantine is not None:
                tasks.create_task(self._quarantine.run(stop))
                await self._is_settled.wait()
                await unless_stopped(stop, asyncio.sleep(self._spare_after_s))
                tasks.create_task(self._keep(kept(), stop))

    async def _keep(self, process: ReaderProcess, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Keeper(process, _CARE, stop).run())
            watch = ReaderWatch(process, partial(self._is_told, process))
            tasks.create_task(watch.run(stop))

    def _is_told(self, process: ReaderProcess, condition: dict[str, Any]) -> None:
        if process is self._used:
            self._counters = condition["counters"]
            self.troubled(condition["note"])

    async def settled(self) -> None:
        """Return when the store is open, is known to be unusable, or has taken too long."""
        try:
            async with asyncio.timeout(_OPENING_LIMIT_S):
                await self._is_settled.wait()
        except TimeoutError:
            self.troubled("it is not open yet")

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        connection = self._usable(timeout_s)
        counts = [len(read.entity_ids) for read in reads]
        if not any(counts):
            return [[] for _ in counts]
        sent = reads if self._withheld.is_empty else self._withheld.without(reads)
        asked = [(self._number_of(read.view, connection), read.entity_ids) for read in sent]
        deadline_s = time.monotonic() + timeout_s
        body = await connection.ask(
            Asked.READ, (deadline_s, asked), timeout_s=timeout_s, reads=sent
        )
        records = unpacked_records(body, counts)
        return records if sent is reads else with_unanswered(reads, sent, records)

    def counters(self) -> Mapping[str, int]:
        return {
            **self._counters,
            "reader_restarts": sum(max(0, each.starts - 1) for each in self._processes),
            "spare_readers": int(self._spare is not None),
            "ids_put_aside": len(self._withheld),
        }

    def troubles(self) -> Sequence[str]:
        troubles = (self._trouble, self._withheld.shown())
        return tuple(f"{self._dependency}: {trouble}" for trouble in troubles if trouble)

    async def ping(self, *, timeout_s: float) -> None:
        connection = self._usable(timeout_s)
        await connection.ask(Asked.PING, time.monotonic() + timeout_s, timeout_s=timeout_s)

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        connection = self._usable(timeout_s)
        asked = (time.monotonic() + timeout_s, self._number_of(view, connection))
        body = await connection.ask(Asked.NEWEST, asked, timeout_s=timeout_s)
        ((newest,),) = unpacked_records(body, [1])
        return None if newest is None else int(newest)

    async def close(self) -> None:
        """Do nothing: `reading_process` ends the reader."""

    def opened(self, process: ReaderProcess, connection: ReaderConnection, note: str) -> None:
        """Use a reader whose store is open; while another one is used, it is the spare."""
        if self._used is not None:
            self._spare = _Spare(process, connection, note)
            return
        self._views.clear()
        self._known.clear()
        self._used, self._connection = process, connection
        self.troubled(note)

    def lost(self, process: ReaderProcess, why: str) -> None:
        """Stop using a reader; the spare takes its place at once.

        Of the reads that it leaves unanswered one may have ended it.
        """
        if self._spare is not None and self._spare.process is process:
            self._spare = None
        if self._used not in {None, process}:
            return
        if self._quarantine is not None and self._connection is not None:
            self._quarantine.suspect(self._connection.unanswered_reads())
        self._used = self._connection = None
        if (spare := self._spare) is None:
            self.troubled(why)
            return
        self._spare = None
        self.opened(spare.process, spare.connection, spare.note)

    def told(self, process: ReaderProcess, told: Told, body: bytes) -> None:
        """Receive a message that belongs to no read."""
        text = body.decode(errors="replace")
        if told is Told.FAILED:
            self._log.error("feature_reader_failed", store=self._url, why=text)
        elif told is Told.UNUSABLE:
            self.lost(process, text)

    def ended(self, why: str, again_s: float) -> None:
        """Report a reader that will be restarted."""
        self._log.warning(
            "feature_reader_ended", store=self._url, why=why, again_s=round(again_s, 3)
        )

    def troubled(self, why: str) -> None:
        """Report the present fault, or "" for none, if it has changed."""
        self._is_settled.set()
        if why == self._trouble:
            return
        self._trouble = why
        if why:
            self._log.warning("feature_store_troubled", store=self._url, why=why)
        else:
            self._log.info("feature_store_well", store=self._url)

    def _usable(self, timeout_s: float) -> ReaderConnection:
        if self._connection is None:
            raise UnavailableError(self._dependency, self._trouble or "its reader is starting")
        if timeout_s <= 0:
            raise UnavailableError(self._dependency, "no time left to read")
        return self._connection

    def _number_of(self, view: FeatureView, connection: ReaderConnection) -> int:
        """Return the number under which the reader knows the view; it is sent once."""
        known = self._known.get(id(view))
        if known is not None:
            return known[1]
        number = self._views.get(view)
        if number is None:
            number = self._views[view] = len(self._views)
            connection.send(Asked.VIEW, view)
        if len(self._known) > _MOST_VIEWS:
            self._known.clear()
        self._known[id(view)] = (view, number)  # kept, so that the id is not used again
        return number
