"""When a scorer process that ended is started again, and when no more. Pure.

An end counts against a budget: it is the version's doing. A start that fails before there is a
process (the registry is away, the disk is full) is not, and is tried again without end.
"""

from dataclasses import dataclass, replace

_MOST_DOUBLINGS = 64  # above any bound; more would leave the range of floats


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    first_back_off_s: float
    longest_back_off_s: float
    budget: int  # restarts within the window
    window_s: float


@dataclass(frozen=True, slots=True)
class Restart:
    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    restarts: int
    window_s: float

    def __str__(self) -> str:
        return f"gave up after {self.restarts} restarts in {self.window_s:g} s"


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """`failures_s`: when the process ended unasked, oldest first, on a monotonic clock.

    `unstarted` counts the starts in a row that failed before there was a process.
    """

    policy: RestartPolicy
    failures_s: tuple[float, ...] = ()
    unstarted: int = 0

    def started(self) -> "RestartHistory":
        """Return the next history after there is a process."""
        return replace(self, unstarted=0)

    def not_started(self, jitter: float) -> tuple["RestartHistory", Restart]:
        """Return the next history and when to try again; `jitter` as for `failed`."""
        following = replace(self, unstarted=self.unstarted + 1)
        return following, Restart(self._back_off_s(self.unstarted, jitter))

    def failed(self, now_s: float, jitter: float) -> tuple["RestartHistory", Restart | GiveUp]:
        """Return the next history and what to do after a process ended unasked.

        Args:
            now_s: monotonic.
            jitter: in [0, 1); spreads the restarts of processes that died together.
        """
        recent = tuple(at for at in self.failures_s if now_s - at < self.policy.window_s)
        following = replace(self, failures_s=(*recent, now_s))
        if len(recent) >= self.policy.budget:
            return following, GiveUp(len(recent), self.policy.window_s)
        return following, Restart(self._back_off_s(len(recent), jitter))

    def _back_off_s(self, failures_before: int, jitter: float) -> float:
        policy = self.policy
        doublings = min(failures_before, _MOST_DOUBLINGS)
        back_off_s = min(policy.longest_back_off_s, policy.first_back_off_s * 2.0**doublings)
        return back_off_s * (0.5 + jitter / 2)
