"""A limit on the work in the router: AIMD on queue time, shares by priority.

Additive increase while queues are short and the limit is in use, multiplicative decrease if
work waits longer than wanted (Chiu & Jain 1989). A limit that is not in use proves nothing, and
is forgotten with time: an overload must not cause refusals of large calls for hours after it.
Pure; one decision per batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router.decisions.priority import Priority

# The share of the limit that a priority may fill: lower ones are refused earlier.
_SHARE = {Priority.LIVE: 1.0, Priority.STREAM: 0.9, Priority.BATCH: 0.75}
MIRROR_SHARE = 0.5  # above this, mirrored rows are dropped: shadows go first
_LONG_S = 60.0  # of silence: earlier experience is forgotten


@dataclass(frozen=True, slots=True)
class RowLimitPolicy:
    least_rows: int
    most_rows: int
    wanted_queue_s: float  # acceptable median wait
    decrease: float = 0.9  # the smallest; in the ratio of wanted to found, down to `most_decrease`
    most_decrease: float = 0.5
    hold_s: float = 0.1  # at most one decrease in this time
    doubling_s: float = 1.0  # for a limit that is not in use


@dataclass(frozen=True, slots=True)
class RowLimit:
    """The limit in rows. It starts high and adapts."""

    policy: RowLimitPolicy
    rows: float
    moved_s: float = 0.0  # monotonic: when it last changed

    def after_batch(self, *, queue_s: float, outstanding_rows: int, now_s: float) -> "RowLimit":
        """Return the limit after a batch whose middle row waited `queue_s`."""
        policy = self.policy
        since_s = now_s - self.moved_s
        if queue_s > policy.wanted_queue_s:
            if since_s < policy.hold_s:
                return self
            share = min(policy.decrease, max(policy.most_decrease, policy.wanted_queue_s / queue_s))
            return replace(
                self, rows=max(float(policy.least_rows), self.rows * share), moved_s=now_s
            )
        if self.rows >= policy.most_rows:
            return self
        if outstanding_rows * 2 >= self.rows:
            return replace(self, rows=min(float(policy.most_rows), self.rows + 1.0), moved_s=now_s)
        if since_s < policy.hold_s:
            return self
        forgotten = self.rows * 2.0 ** (min(since_s, _LONG_S) / policy.doubling_s)
        return replace(self, rows=min(float(policy.most_rows), forgotten), moved_s=now_s)

    def thresholds(self) -> tuple[int, ...]:
        """Return how many rows may be outstanding for each priority, in its order."""
        return tuple(int(self.rows * _SHARE[priority]) for priority in Priority)

    def mirror_threshold(self) -> int:
        return int(self.rows * MIRROR_SHARE)


def seen_rows(rows: Sequence[int], thresholds: Sequence[int], priority: Priority) -> int:
    """Return the outstanding rows that count against a call of `priority`.

    Rows of lower priorities count up to their own share only: a ScoreBatch of 10,000 may enter an
    empty router, and must not fill it for all others until it is answered.

    Args:
        rows: outstanding, by priority.
        thresholds: see `RowLimit.thresholds`.
        priority: of the call.
    """
    lower = 0
    for each in range(len(rows) - 1, priority, -1):
        lower = min(lower + rows[each], thresholds[each])
    return lower + sum(rows[: priority + 1])


def retry_after_ms(*, outstanding_rows: int, limit_rows: float, wanted_queue_s: float) -> int:
    """Return when a refused caller may retry: later the fuller the router, at least the wanted wait."""
    fullness = outstanding_rows / max(limit_rows, 1.0)
    return max(1, round(1000 * wanted_queue_s * max(1.0, fullness)))
