"""A process that lets others vote on a version until they are killed, and tells the votes that they had answered.

Each line of standard input is one of them: `at POINT` kills itself before that statement, commit or
answer; `after ANSWERS SECONDS` is killed so long after that answer. It is forked, because imports
would take most of the time; this process has no thread, and no connection to the database.
"""

import os
import select
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import event

from registry.approve_version import Voter, VoteRequest
from registry.decisions.actors import Actor, Proof
from registry.decisions.approvals import VoteKind
from registry.store.database import open_database
from registry.store.postgresql import PostgresqlPlace
from understudy.domain.versions import VersionRef

REF = VersionRef("fraud", 1)
APPROVER = Actor("bob", Proof.TOKEN)
APPROVAL = VoteRequest(REF, VoteKind.APPROVE, None, None, APPROVER, "r", dry_run=False)


def place_of(text: str) -> Path | PostgresqlPlace:
    return PostgresqlPlace(text) if text.startswith("postgresql:") else Path(text)


def voter_over(place: Path | PostgresqlPlace) -> Voter:
    return Voter(open_database(place), lambda: datetime.now(UTC), longest_s=3_600.0)


def vote_until_killed(place: Path | PostgresqlPlace, answers: int, dies_at: int | None) -> None:
    """Vote without end; before each step of a vote, see whether the process dies here."""
    voter, steps = voter_over(place), 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(voter.engine, "before_cursor_execute", step)
    event.listen(voter.engine, "commit", step)
    while True:
        done = voter.vote(APPROVAL)
        step()
        os.write(answers, b"%d\n" % done.vote.place)


def answered_by_one(place: Path | PostgresqlPlace, how: str, *numbers: str) -> list[int]:
    """Return the places of the votes that a process had answered when it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        vote_until_killed(place, write, int(numbers[0]) if how == "at" else None)
    os.close(write)
    with os.fdopen(read, "rb") as answers:
        places = []
        if how == "after":
            places = [int(answers.readline()) for _ in range(int(numbers[0]))]
            select.select([], [], [], float(numbers[1]))  # a moment of its own for each kill
            os.kill(child, signal.SIGKILL)
        places += map(int, answers)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise SystemExit(f"a voting process ended by itself: {status}")
    return places


def main(place: Path | PostgresqlPlace) -> None:
    for line in sys.stdin:
        places = answered_by_one(place, *line.split())
        sys.stdout.write(" ".join(map(str, places)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(place_of(sys.argv[1]))
