"""Log events for a disk that cannot be written: at the start, once per period, and at the end."""

from dataclasses import dataclass
from pathlib import Path

import structlog

_log = structlog.get_logger()


@dataclass(slots=True)
class FaultReport:
    root: Path
    period_s: float
    _faults: int = 0  # since the last success
    _report_at_s: float = float("-inf")  # monotonic

    def note(self, error: OSError, *, now_s: float) -> None:
        self._faults += 1
        if now_s < self._report_at_s:
            return
        self._report_at_s = now_s + self.period_s
        _log.error("log_unwritable", root=str(self.root), error=str(error), faults=self._faults)

    def clear(self) -> None:
        if self._faults:
            _log.info("log_writable_again", root=str(self.root), faults=self._faults)
        self._faults = 0
        self._report_at_s = float("-inf")
