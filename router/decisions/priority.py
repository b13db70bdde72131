"""Priorities of calls: the order of service, and the reverse order of refusal."""

from enum import IntEnum


class Priority(IntEnum):
    """The order of service, and of the queues of a lane; the last is refused first."""

    LIVE = 0
    STREAM = 1
    BATCH = 2
