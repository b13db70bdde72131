"""Counts of the rows offered to a log, by outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from understudy.logs.decisions.drops import DropCause
from understudy.logs.schema import LogKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Rows of one kind of log; offered = written + dropped + failed + pending."""

    offered: int = 0
    written: int = 0  # in a finished file
    dropped: int = 0  # refused at once: the queue was full, or the log was closed
    dropped_by: Mapping[DropCause, int] = field(default_factory=dict)  # the same, by cause
    failed: int = 0  # accepted, but could not be written

    @property
    def pending(self) -> int:
        """The number of rows accepted and not yet in a finished file."""
        return self.offered - self.written - self.dropped - self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCounters:
    """The counts of a log at one moment. All except `queued_*` only grow."""

    score: RowCounts = field(default_factory=RowCounts)
    shadow: RowCounts = field(default_factory=RowCounts)
    outcomes: RowCounts = field(default_factory=RowCounts)
    recovered: int = 0  # rows of dead processes, written to files by this one
    faults: int = 0  # failed disk operations
    files: int = 0  # finished files
    queued_rows: int = 0
    queued_bytes: int = 0

    @property
    def has_losses(self) -> bool:
        """True if a row was dropped, failed, or is still pending."""
        kinds = (self.score, self.shadow, self.outcomes)
        return any(counts.written < counts.offered for counts in kinds)

    def of(self, kind: LogKind) -> RowCounts:
        match kind:
            case LogKind.SCORE:
                return self.score
            case LogKind.SHADOW:
                return self.shadow
            case LogKind.OUTCOMES:
                return self.outcomes
