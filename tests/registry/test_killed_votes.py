"""Votes of a process that is killed at any point: each is whole or absent, and can be repeated."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from registry.store import audit_log, votes
from registry.store.database import reading
from registry.store.postgresql import PostgresqlPlace
from registry.verify_registry import verify_database
from tests.registry.operator import LIMIT_S
from tests.registry.postgresql import Original, Server
from tests.registry.vote_maker import APPROVAL, APPROVER, REF, voter_over
from understudy.domain.changes import Action

pytestmark = [pytest.mark.long, pytest.mark.fault]
POINTS = 16  # more than the statements of a vote, its commit and its answer
RANDOM_KILLS = 14


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Path | PostgresqlPlace:
    """Return a database with fraud@1, of each kind."""
    if request.param == "sqlite":
        return Path(request.getfixturevalue("seeded")) / "registry.sqlite"
    original: Original = request.getfixturevalue("original")
    server: Server = request.getfixturevalue("postgresql")
    return server.copy_of(original.place)


@contextmanager
def voting(place: Path | PostgresqlPlace) -> Iterator[Callable[[str], list[int]]]:
    """Yield a function that lets a process vote until it is killed, and returns its answered votes."""
    named = str(place) if isinstance(place, Path) else place.conninfo
    words = [sys.executable, "-m", "tests.registry.vote_maker", named]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        stdin, stdout = maker.stdin, maker.stdout
        assert stdin is not None
        assert stdout is not None

        def killed(kill: str) -> list[int]:
            stdin.write(kill + "\n")
            stdin.flush()
            line = stdout.readline()
            assert line, "the maker ended"
            return [int(word) for word in line.split()]

        yield killed
        stdin.close()
        assert maker.wait(LIMIT_S) == 0


def test_a_vote_whose_process_is_killed_is_whole_or_absent_and_can_be_repeated(
    place: Path | PostgresqlPlace,
) -> None:
    random, known, unanswered = Random(7), 0, []
    at_points = [f"at {point}" for point in range(1, POINTS + 1)]
    at_random = [f"after {random.randrange(4)} {random.random() / 50}" for _ in range(RANDOM_KILLS)]
    voter = voter_over(place)
    with voting(place) as killed:
        for kill in [*at_points, *at_random]:
            answered = killed(kill)

            # It waits in line for a commit that the database had still begun for the killed process.
            repeated = voter.vote(APPROVAL)

            with reading(voter.engine) as connection:
                kept = votes.on_version(connection, REF)
                rows = audit_log.read_all(connection)
                faults = verify_database(connection).faults
            assert faults == (), kill
            assert [each.place for each in kept] == list(range(1, len(kept) + 1)), kill
            assert sum(each.row.action == Action.APPROVE for each in rows) == len(kept), kill
            assert answered == list(range(known + 1, known + len(answered) + 1)), kill
            unanswered.append(len(kept) - known - len(answered) - 1)
            assert repeated.vote.place == len(kept), kill
            assert repeated.candidate.standing.approvers == (APPROVER.name,), "one person, one vote"
            known = len(kept)
    voter.engine.dispose()
    assert set(unanswered) == {0, 1}, "a kill after the commit and before the answer was among them"
