"""The cause of rows that a log drops: the reason for which its queue is full. Pure."""

from enum import StrEnum


class DropCause(StrEnum):
    """The state of the log when it drops rows."""

    BACKLOG = "backlog"  # rows come faster than they are written, or the disk stalls
    UNWRITABLE = "unwritable"  # the log directory cannot be written: full, removed, read-only
    BOUND = "bound"  # unshipped files have reached the bound on the local disk
    CLOSED = "closed"  # the log is being closed


def cause_of_drops(*, has_room: bool, is_written: bool) -> DropCause:
    """Return the cause of rows that find the queue full.

    Args:
        has_room: whether the local files are below their bound.
        is_written: whether the last attempt to write succeeded.
    """
    if not has_room:
        return DropCause.BOUND
    return DropCause.BACKLOG if is_written else DropCause.UNWRITABLE
