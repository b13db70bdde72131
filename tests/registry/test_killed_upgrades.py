"""Upgrades of a process that is killed at any step: the database is as before, or upgraded and intact."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from registry.store import audit_log
from registry.store.database import existing, found_schema, reading
from registry.store.schema import SCHEMA_VERSION
from registry.verify_registry import verify_database
from tests.registry.earlier_schema import (
    Earlier,
    Place,
    state_of,
)
from tests.registry.operator import LIMIT_S

pytestmark = pytest.mark.fault


@contextmanager
def upgrading(place: Place) -> Iterator[Callable[[int], str]]:
    """Yield a function that lets a process upgrade until a step, and returns its end."""
    named = str(place) if isinstance(place, Path) else place.conninfo
    words = [sys.executable, "-m", "tests.registry.upgrade_maker", named]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as maker:
        stdin, stdout = maker.stdin, maker.stdout
        assert stdin is not None
        assert stdout is not None

        def killed_at(step: int) -> str:
            stdin.write(f"{step}\n")
            stdin.flush()
            return stdout.readline().strip()

        yield killed_at
        stdin.close()
        assert maker.wait(LIMIT_S) == 0


def schema_of(place: Place) -> int:
    with existing(place) as engine, reading(engine) as connection:
        return found_schema(connection)


@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.long)])
def test_an_upgrade_that_is_killed_at_any_step_is_whole_or_absent(
    earlier: Earlier, stride: int
) -> None:
    with upgrading(earlier.place) as killed_at:
        step, end = first_that_upgrades(earlier.place, killed_at, stride)
        assert killed_at(step) == "done", "it has nothing to do"

    with existing(earlier.place) as engine, reading(engine) as connection:
        assert verify_database(connection).faults == ()
        rows = audit_log.read_all(connection)
    assert [each.row.action for each in rows].count("upgrade") == 1
    assert step > 20, "the steps of the verification were among them"
    assert stride > 1 or end == "killed", (
        "a kill after the commit and before the answer was among them"
    )


def first_that_upgrades(
    place: Place, killed_at: Callable[[int], str], stride: int
) -> tuple[int, str]:
    """Return the first step before which an end leaves an upgraded database, and that end."""
    before, step = state_of(place), 1
    while True:
        end = killed_at(step)
        if schema_of(place) == SCHEMA_VERSION:
            return step, end
        assert (end, state_of(place)) == ("killed", before), step
        step += stride
