"""An operator's process that makes many changes; it imports little, so that many start fast."""

import sys

from understudy.control.client import RegistryClient
from understudy.domain.changes import SetThreshold
from understudy.domain.errors import UnavailableError


def make_changes(registry: str, number: int, count: int) -> None:
    """Change until `count` changes are answered; print the revision and the number of each attempt.

    Each attempt has an effect whatever other processes do. One without an answer is not repeated: the
    registry, which was killed, made it or did not.
    """
    answered = attempts = 0
    while answered < count:
        with RegistryClient(registry, actor=f"operator-{number}@test") as client:
            try:
                while answered < count:
                    attempts += 1
                    change = SetThreshold(float(f"{attempts}.{number + 1}"))
                    made = client.change("fraud", change, reason=reason_of(number, attempts))
                    answered += 1
                    sys.stdout.write(f"{made.revision} {attempts}\n")
            except UnavailableError:
                continue


def reason_of(number: int, attempt: int) -> str:
    return f"operator-{number}: change {attempt}"


if __name__ == "__main__":
    make_changes(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
