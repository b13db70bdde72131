"""A process that lets others upgrade a database until they are killed.

Each line of standard input is the number of a step before which one of them kills itself: statements, the
commit, and the files of the copy are steps. The answer is `killed`, or `done` if it has fewer steps. They
are forked, because imports would take most of the time; this process has no thread, and no connection
to the database.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, event

from registry.store.postgresql import PostgresqlPlace
from registry.upgrade_database import upgrade_database
from tests.registry.earlier_schema import ADA, REASON
from tests.registry.vote_maker import place_of

_FILES = frozenset({"os.remove", "os.rename", "sqlite3.connect"})


def upgrade_until_killed(place: Path | PostgresqlPlace, dies_at: int) -> None:
    steps = 0

    def step(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def step_of_files(name: str, _: object) -> None:
        if name in _FILES:
            step()

    sys.addaudithook(step_of_files)
    event.listen(Engine, "before_cursor_execute", step)
    event.listen(Engine, "commit", step)
    upgrade_database(place, ADA, REASON, datetime.now(UTC))
    step()


def outcome_of_one(place: Path | PostgresqlPlace, dies_at: int) -> str:
    child = os.fork()
    if child == 0:
        upgrade_until_killed(place, dies_at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended not in {0, -signal.SIGKILL}:
        raise SystemExit(f"an upgrade failed: {ended}")
    return "killed" if ended else "done"


def main(place: Path | PostgresqlPlace) -> None:
    for line in sys.stdin:
        sys.stdout.write(outcome_of_one(place, int(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(place_of(sys.argv[1]))
