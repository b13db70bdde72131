"""The review of the database: compared with the audit log at the start and on schedule.

It runs in a thread of its own and rests after each part of its work, so that it takes a tenth of a CPU
at most, however long the history is.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from time import thread_time
from typing import TypeVar

import structlog
from sqlalchemy import Engine

from registry.server.waited_work import waited_for
from registry.store.database import reading
from registry.verify_registry import VerifiedTables, verify_database
from understudy.control.wire_values import timestamp
from understudy.domain.errors import UnavailableError
from understudy.domain.instants import unix_ns
from understudy.registry.v1 import registry_pb2 as pb

_PART_S = 0.005  # CPU time of one part of the work
_RESTS = 9  # time of rest after a part, in times of its CPU time
_MOST_SHOWN = 20

_log = structlog.get_logger()
RowT = TypeVar("RowT")


class _StoppedError(Exception):
    """The registry ends; the review is not finished."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The result of one review."""

    at_ns: int  # UTC, since 1970: its end
    audit_rows: int
    faults: tuple[str, ...]  # empty if the database agrees with the log


@dataclass(slots=True, eq=False)
class DatabaseReview:
    """Compares the whole database with the log, again and again. For one event loop."""

    engine: Engine
    now: Callable[[], datetime]  # UTC
    every_s: float  # pause between two reviews
    latest: Reviewed | None = None  # None: the first one has not ended

    async def keep_reviewed(self) -> None:
        """Review at once and then on schedule, without end."""
        while True:
            try:
                await self.review()
            except UnavailableError as error:
                _log.error("registry_not_reviewed", error=str(error))
            except Exception:  # noqa: BLE001 - boundary of a task: the registry serves on
                _log.exception("registry_not_reviewed")
            await asyncio.sleep(self.every_s)

    async def review(self) -> None:
        """Review once, and log faults that are new.

        Raises:
            UnavailableError: the database cannot be read.
        """
        stop = threading.Event()
        with ThreadPoolExecutor(1) as executor:  # it must not read a database that is closed
            found = await waited_for(executor, lambda: self._verified(stop), on_cancel=stop.set)
        before = () if self.latest is None else self.latest.faults
        at_ns = unix_ns(self.now())
        self.latest = Reviewed(at_ns, len(found.recorded), found.faults)
        if found.faults and found.faults != before:
            _log.error("registry_not_intact", faults=found.faults[:_MOST_SHOWN])
        elif before and not found.faults:
            _log.info("registry_intact_again", audit_rows=len(found.recorded))

    def _verified(self, stop: threading.Event) -> VerifiedTables:
        with reading(self.engine) as connection:
            return verify_database(connection, pace=lambda rows: _paced(rows, stop))


def _paced(rows: Iterable[RowT], stop: threading.Event) -> Iterator[RowT]:
    """Yield the rows, with rests for the work that is done with them."""
    begun_s = thread_time()
    for row in rows:
        yield row
        worked_s = thread_time() - begun_s
        if worked_s < _PART_S:
            continue
        if stop.wait(worked_s * _RESTS):
            raise _StoppedError
        begun_s = thread_time()


def review_to_wire(reviewed: Reviewed | None) -> pb.DatabaseReview | None:
    """Return the message; None if no review has ended."""
    if reviewed is None:
        return None
    return pb.DatabaseReview(
        at=timestamp(reviewed.at_ns),
        audit_rows=reviewed.audit_rows,
        fault_count=len(reviewed.faults),
        faults=reviewed.faults[:_MOST_SHOWN],
    )
