"""A limit on the log lines per second about one kind of failure, with a count of omitted ones."""

from dataclasses import dataclass, replace

WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class LineBudget:
    most_per_window: int
    began_s: float = float("-inf")  # monotonic: when the window began
    written: int = 0  # in this window
    left_out: int = 0  # since they were last reported

    def spend(self, lines: int, now_s: float) -> tuple["LineBudget", int]:
        """Return the next budget and the number of `lines` that may be written."""
        is_over = now_s >= self.began_s + WINDOW_S
        written = 0 if is_over else self.written
        allowed = min(lines, self.most_per_window - written)
        after = replace(
            self,
            began_s=now_s if is_over else self.began_s,
            written=written + allowed,
            left_out=self.left_out + lines - allowed,
        )
        return after, allowed
