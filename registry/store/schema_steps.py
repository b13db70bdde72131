"""The steps from each schema to the next: revisions of Alembic in `migrations`, run in the caller's transaction.

A database has the number of its schema in its table `registry`, where every build looks for it; Alembic keeps
no table of its own there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, update

from registry.store.schema import SCHEMA_VERSION, settings

_FOLDER = str(Path(__file__).with_name("migrations"))


@dataclass(frozen=True, slots=True)
class Step:
    """The way from one schema to the next."""

    schema: int  # to which it leads
    title: str
    run: Callable[[], None]  # by Alembic's `op`


def steps_from(found: int) -> tuple[Step, ...]:
    """Return the steps from a schema to that of this build, in their order.

    `found`: one from which steps lead.
    """
    script = ScriptDirectory(_FOLDER, version_locations=[_FOLDER])
    revisions = [*script.iterate_revisions(str(SCHEMA_VERSION), str(found))]
    return tuple(
        Step(int(each.revision), each.doc.rstrip("."), each.module.upgrade)
        for each in revisions[::-1]
    )


def take(connection: Connection, step: Step) -> None:
    """Change the schema by one step, and its number."""
    with Operations.context(MigrationContext.configure(connection)):
        step.run()
    connection.execute(
        update(settings).where(settings.c.name == "schema_version").values(value=step.schema)
    )
