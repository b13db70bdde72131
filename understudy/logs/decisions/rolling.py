"""The rule for when a log file is finished and becomes visible to readers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RollPolicy:
    """Limits at the first of which a file is finished.

    Raises:
        ValueError: on construction, if a limit is not above 0.
    """

    rows: int = 1_000_000
    size_bytes: int = 64 << 20
    age_s: float = 60.0
    open_files: int = 32  # beyond this the oldest are finished early, to bound descriptors
    open_at_once: int = 64  # a hard bound, even between two checks of the limits

    def __post_init__(self) -> None:
        if min(self.rows, self.size_bytes, self.age_s, self.open_files, self.open_at_once) <= 0:
            raise ValueError(f"every limit must be above 0: {self}")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The facts about a file that the policy judges."""

    name: str
    rows: int
    size_bytes: int
    opened_at_s: float  # monotonic


def due_files(files: Iterable[Unfinished], policy: RollPolicy, *, now_s: float) -> list[str]:
    """Return the names of the files to finish now, oldest first."""
    by_age = sorted(files, key=lambda file: (file.opened_at_s, file.name))
    surplus = max(0, len(by_age) - policy.open_files)
    return [
        file.name
        for position, file in enumerate(by_age)
        if position < surplus
        or file.rows >= policy.rows
        or file.size_bytes >= policy.size_bytes
        or now_s - file.opened_at_s >= policy.age_s
    ]
