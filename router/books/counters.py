"""Counters of a router. Plain numbers, updated once per batch; shown by `metrics` and `status`."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from router.calls.answered import Answered, count_reasons
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import FailureKind

# Upper bounds in seconds. The low ones matter: most answers take less than one or two milliseconds.
LATENCY_BOUNDS_S = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5,
)  # fmt: skip
ROWS_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SORTED_AT_ONCE = 4096


class Histogram:
    """Counts by bucket; the last bucket has no upper bound.

    Values are collected unsorted and sorted into buckets many at a time: a batch adds a list.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = np.array(bounds)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._total = 0.0
        self._waiting: list[float] = []

    def add(self, values: Iterable[float]) -> None:
        self._waiting.extend(values)
        if len(self._waiting) >= _SORTED_AT_ONCE:
            self._sort()

    def counted(self) -> tuple[NDArray[np.int64], float]:
        """Return the counts by bucket and the sum of all values."""
        self._sort()
        return self._counts.copy(), self._total

    def _sort(self) -> None:
        waiting, self._waiting = self._waiting, []
        values = np.array(waiting, dtype=np.float64)
        places = np.searchsorted(self.bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._total += float(values.sum())


class ArmKey(NamedTuple):
    """A tuple, because each batch looks one up: a dataclass hashes and compares in Python."""

    model: str
    version: int
    arm: str
    level: int


@dataclass(slots=True, eq=False)
class Counters:
    """Counts of one router process since its start."""

    rows: Counter[ArmKey] = field(default_factory=Counter)
    degraded: Counter[tuple[str, str]] = field(default_factory=Counter)  # (model, reason)
    failures: Counter[tuple[str, FailureKind]] = field(default_factory=Counter)  # (model, kind)
    refused: Counter[FailureKind] = field(default_factory=Counter)  # calls, before any work
    batches: int = 0
    wrong_digest_records: int = 0  # written under another definition of their view
    late_rows: int = 0  # scored after their caller was answered or had disconnected
    hedged_rows: int = 0  # sent to a second scorer, because the first took long
    latency_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS_S))
    queue_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS_S))
    batch_rows: Histogram = field(default_factory=lambda: Histogram(ROWS_BOUNDS))

    def batch_answered(
        self, answered: Answered, *, queue_s: Iterable[float], total_s: Iterable[float]
    ) -> None:
        """Count one batch. `queue_s`, `total_s`: per call."""
        served = answered.served
        batch_rows = len(answered.scores)
        if answered.levels is None:
            self._add_rows(served.model, served.version, served.arm, 0, batch_rows)
        else:
            for reason, rows in count_reasons(answered).items():
                self.degraded[(served.model, reason)] += rows
            by_level = np.bincount(answered.levels, minlength=len(DegradationLevel))
            for level in np.flatnonzero(by_level).tolist():
                self._add_rows(
                    served.model, served.version, served.arm, level, int(by_level[level])
                )
        self.batches += 1
        self.wrong_digest_records += answered.wrong_digests
        self.latency_s.add(total_s)
        self.queue_s.add(queue_s)
        self.batch_rows.add((batch_rows,))

    def failed(self, model: str, kind: FailureKind, rows: int) -> None:
        self.failures[(model, kind)] += rows

    def _add_rows(self, model: str, version: int, arm: str, level: int, rows: int) -> None:
        self.rows[ArmKey(model, version, arm, level)] += rows
