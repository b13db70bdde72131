"""An operator's process that makes many changes; it imports little, so that many start fast."""

import sys

from understudy.control.client import RegistryClient
from understudy.domain.changes import SetThreshold


def make_changes(target: str, number: int, count: int) -> None:
    """Make `count` changes, each of which has an effect whatever other processes do."""
    with RegistryClient(target, actor=f"operator-{number}@test") as client:
        for done in range(count):
            change = SetThreshold(float(f"{done + 1}.{number + 1}"))
            client.change("fraud", change, reason=reason_of(number, done))


def reason_of(number: int, done: int) -> str:
    return f"operator-{number}: change {done}"


if __name__ == "__main__":
    make_changes(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
