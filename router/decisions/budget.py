"""One time budget per request, for queue, fetch and score. Monotonic seconds."""

from dataclasses import dataclass

_MARGIN_SHARE = 0.1  # reserved for the transport of the answer within the caller's deadline
_LEAST_MARGIN_S = 0.001
_LARGEST_MARGIN_S = 0.02
_FETCH_SHARE = 0.5  # a hung store must leave time to score with defaults
_LEAST_FETCH_S = 0.001


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    default_s: float  # used if the caller sets no deadline
    largest_s: float  # a longer deadline is reduced to this


def answer_by_s(policy: BudgetPolicy, *, now_s: float, remaining_s: float | None) -> float:
    """Return when the answer must be sent, never after the caller's deadline."""
    budget_s = policy.default_s if remaining_s is None else min(remaining_s, policy.largest_s)
    margin_s = min(max(budget_s * _MARGIN_SHARE, _LEAST_MARGIN_S), _LARGEST_MARGIN_S)
    return now_s + budget_s - margin_s


def fetch_timeout_s(*, slow_s: float, left_s: float) -> float:
    """Return how long to wait for features: at most `slow_s`, and half of the remaining time."""
    return max(_LEAST_FETCH_S, min(slow_s, left_s * _FETCH_SHARE))


def share_spent_s(*, arrived_s: float, answer_by_s: float, share: float) -> float:
    """Return when that share of a call's budget is spent; monotonic, like the arguments."""
    return arrived_s + share * (answer_by_s - arrived_s)
