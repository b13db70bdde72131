"""The rule for the local files of a shipped log: those that may go, and when."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingPolicy:
    """The time for which shipped files stay on the local disk, and the bound on its use.

    Raises:
        ValueError: on construction, for a negative time or no room at all.
    """

    keep_s: float
    most_local_bytes: int

    def __post_init__(self) -> None:
        if self.keep_s < 0 or self.most_local_bytes < 1:
            raise ValueError(f"keep_s must not be negative, and most_local_bytes above 0: {self}")


@dataclass(frozen=True, slots=True)
class ShippedFile:
    """A local file that the store is known to hold."""

    key: str
    size_bytes: int
    finished_at_s: float  # UTC


def removable(
    shipped: Sequence[ShippedFile], policy: ShippingPolicy, *, local_bytes: int, now_s: float
) -> list[ShippedFile]:
    """Return the files to remove, oldest first.

    Those whose time is over go, and further ones while the logs take more than half of the bound: the other half is for
    times without the store.

    Args:
        shipped: the local files that the store is known to hold.
        policy: the declared limits.
        local_bytes: of all files below the log directory.
        now_s: UTC.
    """
    gone: list[ShippedFile] = []
    for each in sorted(shipped, key=lambda file: (file.finished_at_s, file.key)):
        is_over = now_s - each.finished_at_s >= policy.keep_s
        if not is_over and local_bytes <= policy.most_local_bytes // 2:
            break
        gone.append(each)
        local_bytes -= each.size_bytes
    return gone
