"""The work of a change: as much after 20,000 revisions, and beside 100 other models, as at the start.

Work is counted in steps of SQLite's virtual machine and in statements, which depend on no clock.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from registry.change_deployment import ChangeRequest
from registry.decisions.actors import Actor
from tests.registry.test_live_state import live_over
from understudy.domain.changes import Change, DeployChampion, Rollback, SetCanary

LARGEST_RATIO = 1.2


@dataclass
class Work:
    """The work done by a database."""

    steps: int = 0
    statements: int = 0


@contextmanager
def counted(engine: Engine) -> Iterator[Work]:
    """Count the work of every connection that is taken from the pool meanwhile."""
    work = Work()

    def step() -> int:
        work.steps += 1
        return 0

    def begin(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.set_progress_handler(step, 1)

    def end(connection: Any, _record: Any) -> None:
        connection.set_progress_handler(None, 1)

    def statement(*_: Any) -> None:
        work.statements += 1

    listeners = (("checkout", begin), ("checkin", end), ("before_cursor_execute", statement))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield work
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


def asked(change: Change) -> ChangeRequest:
    return ChangeRequest("fraud", change, "a test", Actor("ada@lab"), None, dry_run=False)


async def work_of_changes(directory: Path) -> Work:
    """Return the work of a canary and of its rollback, both published."""
    async with live_over(directory) as (live, changer):
        with counted(changer.engine) as work:
            for change in (SetCanary(2, 100), Rollback()):
                await live.change(partial(changer.change, asked(change)), models=["fraud"])
    return work


async def deployed(directory: Path) -> None:
    async with live_over(directory) as (live, changer):
        for change in (DeployChampion(2), DeployChampion(1)):
            await live.change(partial(changer.change, asked(change)), models=["fraud"])


@contextmanager
def filling(directory: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(directory / "registry.sqlite")
    with database:
        yield database
    database.close()


def columns_of(database: sqlite3.Connection, table: str, **instead: str) -> tuple[str, str]:
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    return ", ".join(names), ", ".join(instead.get(name, name) for name in names)


def add_history(directory: Path, revisions_added: int) -> None:
    """Copy the newest revision and its audit row many times, with numbers of their own."""
    with filling(directory) as database:
        for table, place in (("revisions", "revision"), ("audit", "sequence")):
            newest = database.execute(f"SELECT max({place}) FROM {table}").fetchone()[0]  # noqa: S608 - our tables
            names, values = columns_of(database, table, **{place: f"{newest} + n"})
            database.execute(
                f"WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < ?) "  # noqa: S608 - our tables
                f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, k WHERE {place} = ?",
                (revisions_added, newest),
            )


def add_models(directory: Path, models_added: int) -> None:
    """Copy versions, revisions, named versions and views of the model under other names."""
    with filling(directory) as database:
        for table, place in (
            ("versions", "model"),
            ("revisions", "model"),
            ("named_versions", "model"),
            ("feature_views", "name"),
        ):
            names, values = columns_of(database, table, **{place: f"{place} || n"})
            database.execute(
                f"WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < ?) "  # noqa: S608 - our tables
                f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, k",
                (models_added,),
            )


async def test_a_change_costs_the_same_after_a_long_history(seeded: Path) -> None:
    await deployed(seeded)
    add_history(seeded, 60)  # more than a rollback looks through
    few = await work_of_changes(seeded)
    add_history(seeded, 20_000)

    many = await work_of_changes(seeded)

    assert many.statements == few.statements
    assert many.steps <= LARGEST_RATIO * few.steps


async def test_a_change_costs_the_same_beside_many_models(seeded: Path) -> None:
    await deployed(seeded)
    few = await work_of_changes(seeded)
    add_models(seeded, 100)

    many = await work_of_changes(seeded)

    assert many.statements == few.statements
    assert many.steps <= LARGEST_RATIO * few.steps
