"""The rule for how long to wait for a start: as long as it makes progress. Pure.

Time alone says little: on a busy machine a healthy start takes ten times as long as on a quiet
one. Progress is CPU time above the highest value so far, or a state not seen
before. So a process that is restarted repeatedly without getting further makes no progress.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace

_MOST_GAP_S = 5.0  # between two observations; in a longer gap the observer itself was delayed


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of a wait."""

    stalled_after_s: float = 60.0  # without progress
    ceiling_s: float = 600.0  # whatever the progress
    least_cpu_share: float = 1 / 60  # of one CPU; an idle process uses less

    @property
    def least_cpu_s(self) -> float:
        """CPU time that counts as progress if it was used within `stalled_after_s`."""
        return self.least_cpu_share * self.stalled_after_s


@dataclass(frozen=True, slots=True)
class Wait:
    """The observations of a wait so far. Replaced at each observation."""

    patience: Patience
    looked_at_s: float  # monotonic
    waited_s: float = 0.0
    stalled_s: float = 0.0  # since the last progress
    most_cpu_s: float = 0.0
    states: frozenset[Hashable] = frozenset()

    def after_look(self, now_s: float, *, cpu_s: float = 0.0, state: Hashable = None) -> "Wait":
        """Return the observations after one more.

        Args:
            now_s: monotonic.
            cpu_s: CPU time so far of the starting processes that still run.
            state: their reported state.
        """
        gap_s = min(_MOST_GAP_S, max(0.0, now_s - self.looked_at_s))
        waited = replace(
            self,
            looked_at_s=now_s,
            waited_s=self.waited_s + gap_s,
            stalled_s=self.stalled_s + gap_s,
            states=self.states | {state},
        )
        if cpu_s >= self.most_cpu_s + self.patience.least_cpu_s:
            return replace(waited, stalled_s=0.0, most_cpu_s=cpu_s)
        if state not in self.states:
            return replace(waited, stalled_s=0.0)
        return waited

    @property
    def given_up(self) -> str | None:
        """The reason to stop waiting, or None to continue."""
        if self.stalled_s >= self.patience.stalled_after_s:
            return f"no progress for {self.stalled_s:.0f} s"
        if self.waited_s >= self.patience.ceiling_s:
            return f"still busy after {self.waited_s:.0f} s, the longest wait"
        return None
