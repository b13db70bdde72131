"""The division of the time for one read among attempts at replicas of a record. Pure."""

from dataclasses import dataclass

_HAND_OVER_MS = 1  # from the client to the waiting call
_LEAST_TOTAL_MS = 2  # the client's clock counts whole milliseconds: one times out at once
_FAIR_ATTEMPT_MS = 22  # a store that answers in 20 ms is slow, and not away


@dataclass(frozen=True, slots=True)
class Attempts:
    """The limits on one read."""

    total_ms: int  # all attempts together
    each_ms: int  # one attempt; at its end the next replica is asked


def plan_attempts(timeout_s: float, *, replicas: int, most: int) -> Attempts:
    """Divide `timeout_s`, so that a hung replica leaves time to ask another.

    There are as many attempts as have a fair time each; a single one has all the time.

    Args:
        timeout_s: until the call stops waiting for the read.
        replicas: copies of each record, at least 1.
        most: attempts that the client makes at most, at least 1.
    """
    total_ms = max(_LEAST_TOTAL_MS, int(timeout_s * 1000) - _HAND_OVER_MS)
    attempts = max(1, min(total_ms // _FAIR_ATTEMPT_MS, replicas, most))
    return Attempts(total_ms, total_ms // attempts)
