"""The log's thread: takes batches from a bounded queue and writes them without blocking callers.

offer -> queue (bounded by rows and bytes) -> journal -> Parquet file, visible atomically

The caller's event loop shares the interpreter lock with this thread, so `offer` only appends,
and the thread works in short slices with a pause after each.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from understudy.domain.errors import UnderstudyError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.batches import LogBatch
from understudy.logs.columns import FileKey, FileKeys, record_batch, warm_up
from understudy.logs.counters import LogCounters
from understudy.logs.decisions.drops import cause_of_drops
from understudy.logs.decisions.rolling import RollPolicy
from understudy.logs.fault_report import FaultReport
from understudy.logs.files import LogFiles
from understudy.logs.local_bytes import LocalBound
from understudy.logs.log_queue import LogQueue
from understudy.logs.numbered import Numbered
from understudy.logs.offered_rows import CountsInMemory
from understudy.logs.slices import Slice, cut

_log = structlog.get_logger()
_NO_IDS = LoggedIds(IdForm.UNKEYED)  # for writers of outcomes, which have none
_BATCHES_PER_PAUSE = 256
_PAUSE_S = 0.001  # after each slice, so that the event loop gets the interpreter lock


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterLimits:
    """Bounds and periods of a log writer.

    Raises:
        ValueError: on construction, if a limit is not above 0.
    """

    queued_rows: int = 200_000
    queued_bytes: int = 64 << 20
    slice_rows: int = 256  # rows converted to columns at a time
    gather_s: float = 0.25  # the longest time before offered rows are on disk
    retry_s: float = 1.0  # after a failed write
    report_s: float = 60.0  # a line per failure would fill the disk further
    recover_s: float = 60.0  # the period of the search for rows of dead processes
    roll: RollPolicy = field(default_factory=RollPolicy)
    most_local_bytes: int | None = None  # of all logs below the directory; None: no bound

    def __post_init__(self) -> None:
        numbers = (self.queued_rows, self.queued_bytes, self.slice_rows, self.gather_s)
        more = (
            self.retry_s,
            self.report_s,
            self.recover_s,
            1 if self.most_local_bytes is None else self.most_local_bytes,
        )
        if min(*numbers, *more) <= 0:
            raise ValueError(f"every limit must be above 0: {self}")


class LogWriter:
    """Writes offered batches below `root`, from its own thread.

    Several processes may write below one root. Methods may be called from any thread;
    `flush` and `close` wait, so an event loop calls them in a worker thread.
    """

    def __init__(
        self,
        root: Path,
        *,
        limits: WriterLimits | None = None,
        ids: LoggedIds = _NO_IDS,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or WriterLimits()
        self._ids = ids
        self._now_s = now_s
        self._wake = threading.Event()
        self._is_closing = threading.Event()
        self._files = LogFiles(root, self._ids, self._limits.roll, now_s, self._pause)
        self._queue = LogQueue(
            *(self._limits.queued_rows, self._limits.queued_bytes, self._wake.set),
            CountsInMemory(self._files.writer_id),
        )
        # Accepts a batch for writing, or returns False if it is dropped and counted; never blocks.
        self.offer: Callable[[LogBatch], bool] = self._queue.offer
        # The same for several batches: all of them are accepted, or none is.
        self.offer_together: Callable[[Sequence[LogBatch]], bool] = self._queue.offer_together
        self._file_keys = FileKeys()
        self._slices: deque[Slice] = deque()  # accepted, but not yet in a journal
        self._flushes: deque[threading.Event] = deque()
        self._bound = LocalBound(root, self._limits.most_local_bytes, now_s)
        self._faults = FaultReport(root, self._limits.report_s)
        self._recover_at_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Start the thread. Call it once per writer."""
        self._queue.counts.share(self._files.folder)
        self._attempt(self._files.open)  # before the first row: a kill must leave a trace of it
        self._thread.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def writer_id(self) -> str:
        """The name of this writer in its rows."""
        return self._files.writer_id

    def counters(self) -> LogCounters:
        """Return the current counts."""
        return self._queue.counters()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything offered so far is visible to readers; False on a timeout."""
        if not self._thread.is_alive():
            return False
        done = threading.Event()
        self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout_s)

    def close(self, timeout_s: float = 10.0) -> bool:
        """Refuse new batches, make all rows visible and end the thread; False on a timeout.

        Rows that cannot be written are counted as failed, or stay in their journal for the next
        start if they were written there before.
        """
        self._queue.close()
        self._is_closing.set()
        self._wake.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        warm_up()
        while not self._is_closing.is_set():
            if self._turn():
                self._wake.wait(self._limits.gather_s)
                self._wake.clear()
            else:
                self._is_closing.wait(self._limits.retry_s)
        self._turn()
        while self._slices:
            self._fail(self._slices.popleft().batches)
        self._attempt(lambda: self._files.close(self._queue.counts))
        counters = self.counters()
        if counters.has_losses:
            _log.error("log_closed_with_losses", **asdict(counters))

    def _turn(self) -> bool:
        """Write waiting batches and finish due files; False if a write failed: retry later."""
        flushes = list(self._flushes)  # read first, so that earlier offers are included
        taken = self._with_keys(self._queue.take())
        self._slices.extend(cut(taken, rows=self._limits.slice_rows))
        everything = bool(flushes) or self._is_closing.is_set()
        succeeded = self._attempt(self._files.open)
        has_room = self._attempt(self._bound.check)
        succeeded &= has_room and self._attempt(self._write_slices)
        succeeded &= self._attempt(lambda: self._finish(everything=everything))
        self._queue.held_by = cause_of_drops(has_room=has_room, is_written=succeeded)
        if succeeded:
            if self._files.is_open:  # otherwise there was nothing to write, and nothing is proven
                self._faults.clear()
            for done in flushes:
                self._flushes.remove(done)
                done.set()
        if self._now_s() >= self._recover_at_s:
            self._recover_at_s = self._now_s() + self._limits.recover_s
            self._attempt(
                self._recover
            )  # other writers' rows: their failure must not delay our own
        return succeeded

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError as error:
            self._queue.count_fault()
            self._faults.note(error, now_s=self._now_s())
            return False
        except Exception:  # noqa: BLE001 - the thread's boundary: a bug must not end the log for good
            self._queue.count_fault()
            _log.exception("log_step_failed")
            return False
        return True

    def _with_keys(self, batches: Iterable[Numbered]) -> Iterator[tuple[FileKey, Numbered]]:
        for number, numbered in enumerate(batches, start=1):
            if number % _BATCHES_PER_PAUSE == 0:
                self._pause()
            try:
                key = self._file_keys.key_of(numbered.batch)
            except (UnderstudyError, OverflowError) as error:
                _log.warning("log_batch_refused", error=str(error), rows=numbered.batch.rows)
                self._fail((numbered,))
                continue
            yield key, numbered

    def _write_slices(self) -> None:
        while self._slices:
            piece = self._slices[0]
            try:
                schema = self._files.schema_of(piece.key)
                columns = record_batch(piece.batches, schema, self._ids, self._files.writer_id)
            except Exception as error:  # noqa: BLE001 - a bad batch costs only its own rows
                self._slices.popleft()
                self._isolate(piece, error)
                continue
            self._files.append(piece.key, columns)
            self._slices.popleft()
            self._queue.release(piece.rows, piece.size_bytes)
            self._pause()

    def _isolate(self, piece: Slice, error: Exception) -> None:
        """Try the batches of a slice one by one, and give up on the faulty one."""
        if len(piece.batches) > 1:
            self._slices.extendleft(Slice(piece.key, (b,)) for b in reversed(piece.batches))
            return
        _log.error("log_batch_failed", model=piece.key.model, rows=piece.rows, exc_info=error)
        self._fail(piece.batches)

    def _finish(self, *, everything: bool) -> None:
        for finished in self._files.finish_due(everything=everything):
            lost = finished.lost_rows
            self._queue.count_finished(finished.kind, finished.model, finished.rows, lost=lost)
            if finished.lost_rows:
                _log.error("log_rows_lost", path=str(finished.path), rows=finished.lost_rows)

    def _recover(self) -> None:
        for finished in self._files.recover():
            self._queue.count_recovered(finished.rows)
            _log.warning(
                "log_recovered",
                path=str(finished.path),
                rows=finished.rows,
                torn_bytes=finished.torn_bytes,
            )

    def _fail(self, batches: Iterable[Numbered]) -> None:
        for batch, _ in batches:
            self._queue.count_failed(batch)
            self._queue.release(batch.rows, batch.size_bytes)

    def _pause(self) -> None:
        if not self._is_closing.is_set():
            time.sleep(_PAUSE_S)
