"""The rule for when an ended process is restarted, and when it is given up. Pure.

An exit counts against a budget, because the program is at fault. A start that fails before there
is a process (the registry is away, the disk is full) does not, and is retried without limit. A
process that callers depend on is never given up: beyond its budget it has the longest back-off.
"""

from dataclasses import dataclass, replace

_MOST_DOUBLINGS = 64  # larger than any bound; more would exceed the range of floats


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    first_back_off_s: float
    longest_back_off_s: float
    budget: int | None  # restarts within the window; None: no limit
    window_s: float  # after this a failure no longer counts, for the budget and the back-off


@dataclass(frozen=True, slots=True)
class Restart:
    after_s: float
    is_over_budget: bool = False  # its owner should be told: it has failed too often


@dataclass(frozen=True, slots=True)
class GiveUp:
    restarts: int
    window_s: float

    def __str__(self) -> str:
        return f"gave up after {self.restarts} restarts in {self.window_s:g} s"


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """`failures_s`: the times of unrequested exits, oldest first, on a monotonic clock.

    `unstarted` is the number of consecutive starts that failed before there was a process.
    """

    policy: RestartPolicy
    failures_s: tuple[float, ...] = ()
    unstarted: int = 0

    def started(self) -> "RestartHistory":
        """Return the next history, after a process was started."""
        return replace(self, unstarted=0)

    def not_started(self, jitter: float) -> tuple["RestartHistory", Restart]:
        """Return the next history and the time of the next attempt; `jitter` as in `failed`."""
        following = replace(self, unstarted=self.unstarted + 1)
        return following, Restart(self._back_off_s(self.unstarted, jitter))

    def failed(
        self, now_s: float, jitter: float, *, may_give_up: bool = True
    ) -> tuple["RestartHistory", Restart | GiveUp]:
        """Return the next history and the action after an unrequested exit.

        Args:
            now_s: monotonic.
            jitter: in [0, 1); spreads the restarts of processes that died at the same time.
            may_give_up: whether the process may stay down once its budget is spent.
        """
        recent = tuple(at for at in self.failures_s if now_s - at < self.policy.window_s)
        following = replace(self, failures_s=(*recent, now_s))
        if self.policy.budget is not None and len(recent) >= self.policy.budget:
            if may_give_up:
                return following, GiveUp(len(recent), self.policy.window_s)
            longest_s = self.policy.longest_back_off_s * _spread(jitter)
            return following, Restart(longest_s, is_over_budget=True)
        return following, Restart(self._back_off_s(len(recent), jitter))

    def _back_off_s(self, failures_before: int, jitter: float) -> float:
        policy = self.policy
        doublings = min(failures_before, _MOST_DOUBLINGS)
        back_off_s = min(policy.longest_back_off_s, policy.first_back_off_s * 2.0**doublings)
        return back_off_s * _spread(jitter)


def _spread(jitter: float) -> float:
    return 0.5 + jitter / 2
