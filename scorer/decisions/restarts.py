"""When a scorer process that ended is started again, and when no more. Pure."""

from dataclasses import dataclass, replace


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


@dataclass(frozen=True, slots=True)
class RestartHistory:
    """`failures_s`: when the process ended unasked, oldest first, on a monotonic clock."""

    policy: RestartPolicy
    failures_s: tuple[float, ...] = ()

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
        back_off_s = min(
            self.policy.longest_back_off_s, self.policy.first_back_off_s * 2.0 ** len(recent)
        )
        return following, Restart(back_off_s * (0.5 + jitter / 2))
