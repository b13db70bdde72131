"""The queue between the callers and the log's thread: bounded, counted, never blocking."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from understudy.logs.batches import LogBatch, OutcomeBatchLog, ScoreBatchLog, ShadowBatchLog
from understudy.logs.counters import LogCounters, RowCounts
from understudy.logs.decisions.drops import DropCause
from understudy.logs.numbered import Numbered
from understudy.logs.offered_rows import DROPPED, FAILED, OFFERED, Counts, CountsInMemory
from understudy.logs.schema import LogKind

_KIND_OF: dict[type[LogBatch], LogKind] = {
    ScoreBatchLog: LogKind.SCORE,
    ShadowBatchLog: LogKind.SHADOW,
    OutcomeBatchLog: LogKind.OUTCOMES,
}


@dataclass(slots=True)
class _Tally:
    offered: int = 0
    written: int = 0
    failed: int = 0
    dropped_by: Counter[DropCause] = field(default_factory=Counter)

    def counts(self) -> RowCounts:
        return RowCounts(
            offered=self.offered,
            written=self.written,
            dropped=self.dropped_by.total(),
            dropped_by=dict(self.dropped_by),
            failed=self.failed,
        )


@dataclass(slots=True)
class LogQueue:
    """Holds accepted rows until they are settled: rows in progress count against the bounds too."""

    max_rows: int
    max_bytes: int
    wake: Callable[[], None]  # called when a quarter of a bound is reached
    counts: CountsInMemory
    held_by: DropCause = DropCause.BACKLOG  # the cause of drops at present, by the log's thread
    _of: dict[tuple[LogKind, str], Counts] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _batches: list[Numbered] = field(default_factory=list)
    _rows: int = 0
    _bytes: int = 0
    _is_closed: bool = False
    _tallies: dict[LogKind, _Tally] = field(
        default_factory=lambda: {kind: _Tally() for kind in LogKind}
    )
    _totals: LogCounters = field(default_factory=LogCounters)

    def offer(self, batch: LogBatch) -> bool:
        """Take `batch`, or count it as dropped. Holds the lock for a few instructions only."""
        return self.offer_together((batch,))

    def offer_together(self, batches: Sequence[LogBatch]) -> bool:
        """Take all of `batches`, or none, and then count them as dropped."""
        counts = [len(batch.request_ids) for batch in batches]
        rows = sum(counts)
        size_bytes = sum(batch.size_bytes for batch in batches)
        with self._lock:
            is_taken = (
                not self._is_closed
                and self._rows + rows <= self.max_rows
                and self._bytes + size_bytes <= self.max_bytes
            )
            for batch, count in zip(batches, counts, strict=True):
                kind = _KIND_OF[type(batch)]
                self._tallies[kind].offered += count
                of_log = self._of.get((kind, batch.model))
                if of_log is None:
                    of_log = self._of[kind, batch.model] = self.counts.of(kind, batch.model)
                first = of_log[OFFERED] + 1
                of_log[OFFERED] += count
                if is_taken:
                    self._batches.append(Numbered(batch, first))
                else:
                    cause = DropCause.CLOSED if self._is_closed else self.held_by
                    self._tallies[kind].dropped_by[cause] += count
                    of_log[DROPPED] += count
            if not is_taken:
                return False
            self._rows += rows
            self._bytes += size_bytes
            is_filling = self._rows * 4 > self.max_rows or self._bytes * 4 > self.max_bytes
        if is_filling:
            self.wake()
        return True

    def take(self) -> list[Numbered]:
        """Return all waiting batches; each row must be settled later."""
        with self._lock:
            taken, self._batches = self._batches, []
        return taken

    def release(self, rows: int, size_bytes: int) -> None:
        """Free the capacity of rows that are no longer in memory."""
        with self._lock:
            self._rows -= rows
            self._bytes -= size_bytes

    def close(self) -> None:
        """Drop everything that is offered from now on."""
        with self._lock:
            self._is_closed = True

    def count_finished(self, kind: LogKind, model: str, rows: int, *, lost: int) -> None:
        with self._lock:
            self._tallies[kind].written += rows
            self._tallies[kind].failed += lost
            self.counts.of(kind, model)[FAILED] += lost
            self._totals = replace(self._totals, files=self._totals.files + 1)

    def count_failed(self, batch: LogBatch) -> None:
        with self._lock:
            kind = _KIND_OF[type(batch)]
            self._tallies[kind].failed += batch.rows
            self.counts.of(kind, batch.model)[FAILED] += batch.rows

    def count_recovered(self, rows: int) -> None:
        with self._lock:
            self._totals = replace(self._totals, recovered=self._totals.recovered + rows)

    def count_fault(self) -> None:
        with self._lock:
            self._totals = replace(self._totals, faults=self._totals.faults + 1)

    def counters(self) -> LogCounters:
        with self._lock:
            return replace(
                self._totals,
                score=self._tallies[LogKind.SCORE].counts(),
                shadow=self._tallies[LogKind.SHADOW].counts(),
                outcomes=self._tallies[LogKind.OUTCOMES].counts(),
                queued_rows=self._rows,
                queued_bytes=self._bytes,
            )
