"""A step may change a table of rows that are written once: rows, triggers and definitions stay those of the schema."""

from pathlib import Path

import pytest
from alembic import op
from sqlalchemy import Column, Connection, Engine, MetaData, Table, Text, create_engine
from sqlalchemy.exc import IntegrityError

from registry.store import schema
from registry.store.database import existing, found_schema, reading, upgrading
from registry.store.dialects import dialect_of
from registry.store.postgresql_objects import _columns_of
from registry.store.schema_steps import Step, take
from registry.store.shared import is_shared
from registry.store.sqlite import triggers_of
from tests.registry.earlier_schema import Earlier, in_postgresql, in_sqlite, rows_of

CHANGED = "votes"


@pytest.fixture(params=["sqlite", "postgresql"])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Earlier:
    if request.param == "sqlite":
        return in_sqlite(tmp_path / "earlier")
    return in_postgresql(request.getfixturevalue("postgresql"), tmp_path / "earlier")


def add_note() -> None:
    """Add a column, as the module of a step does."""
    in_file = op.get_context().dialect.name == "sqlite"
    with op.batch_alter_table(CHANGED, recreate="always" if in_file else "never") as table:
        table.add_column(Column("note", Text))
    if in_file:
        for statement in triggers_of(CHANGED):
            op.execute(statement)


def table_with_note() -> Table:
    """Return the table as `schema.py` would declare it after the step."""
    table = schema.metadata.tables[CHANGED].to_metadata(MetaData())
    table.append_column(Column("note", Text))
    return table


def wanted_definition(engine: Engine) -> str:
    if is_shared(engine):
        return _columns_of(table_with_note())
    empty = create_engine("sqlite://")
    with empty.begin() as connection:
        table_with_note().create(connection)
        definition = dialect_of(empty).objects_of(connection)["table", CHANGED]
    empty.dispose()
    return definition


def objects_of(connection: Connection) -> dict[tuple[str, str], str]:
    return dict(dialect_of(connection).objects_of(connection))


def test_a_step_changes_a_table_of_rows_that_are_written_once(earlier: Earlier) -> None:
    with existing(earlier.place) as engine:
        before = rows_of(engine)
        with upgrading(engine) as connection:
            objects = objects_of(connection)
            take(connection, Step(found_schema(connection) + 1, "A note of a vote", add_note))

        after = rows_of(engine)
        with reading(engine) as connection:
            changed = objects_of(connection)
            assert found_schema(connection) == 7
        for statement in (f"UPDATE {CHANGED} SET note = 'x'", f"DELETE FROM {CHANGED}"):  # noqa: S608 - our table
            with pytest.raises(IntegrityError, match="written once"), upgrading(engine) as later:
                later.exec_driver_sql(statement)
        assert changed.pop(("table", CHANGED)) == wanted_definition(engine)
    assert objects.pop(("table", CHANGED))
    assert changed == objects
    assert after.pop(CHANGED) == [(*row, None) for row in before.pop(CHANGED)]
    assert after.pop("registry") != before.pop("registry")
    assert after == before
