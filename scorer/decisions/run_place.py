"""The place of a run: on the event loop if it is short, in a worker thread if it is long.

A short run costs less than handing it to a thread and back; a long one would stop the loop from
parsing arrivals and from answering health checks.
"""

_WEIGHT_OF_NEWEST = 0.2


class RunPlace:
    """Learns the duration of runs, per power of two of their rows."""

    def __init__(self, inline_run_s: float) -> None:
        self._inline_run_s = inline_run_s
        self._run_s_of: dict[int, float] = {}

    def is_inline(self, rows: int) -> bool:
        return self.expected_s(rows) <= self._inline_run_s

    def expected_s(self, rows: int) -> float:
        """Return the expected seconds of one run of `rows`; 0 if unknown."""
        size = rows.bit_length()
        known_s = self._run_s_of.get(size)
        if known_s is not None:
            return known_s
        smaller = [known for known in self._run_s_of if known < size]
        if not smaller:
            return min(self._run_s_of.values(), default=0.0)
        nearest = max(smaller)
        return self._run_s_of[nearest] * 2.0 ** (size - nearest)

    def record(self, rows: int, run_s: float) -> None:
        """Record a run of `rows` that took `run_s`."""
        size = rows.bit_length()
        known_s = self._run_s_of.get(size, run_s)
        self._run_s_of[size] = known_s + _WEIGHT_OF_NEWEST * (run_s - known_s)
