"""Who goes first where calls wait, and who is refused last."""

from enum import IntEnum


class Priority(IntEnum):
    """Who is served first, and who is refused last. The order of the queues of a lane."""

    LIVE = 0
    STREAM = 1
    BATCH = 2
