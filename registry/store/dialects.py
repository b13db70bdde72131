"""The adapter of a connection's database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Table

from registry.store.ports import Dialect
from registry.store.postgresql import Postgresql
from registry.store.sqlite import Sqlite

_BY_NAME: Mapping[str, Dialect] = {"sqlite": Sqlite(), "postgresql": Postgresql()}


def dialect_of(database: Engine | Connection) -> Dialect:
    """Return the adapter of an engine or of one of its connections."""
    return _BY_NAME[database.dialect.name]


def put(
    connection: Connection,
    table: Table,
    keys: Mapping[str, Any],
    values: Mapping[str, Any],
) -> None:
    """Write the row with these keys: a new one, or the values of the one that is there."""
    row = dialect_of(connection).insert(table).values(**keys, **values)
    connection.execute(row.on_conflict_do_update(index_elements=[*keys], set_=values))


def put_if_absent(
    connection: Connection,
    table: Table,
    keys: Mapping[str, Any],
    values: Mapping[str, Any],
) -> None:
    """Write the row with these keys; one that is there stays as it is."""
    row = dialect_of(connection).insert(table).values(**keys, **values)
    connection.execute(row.on_conflict_do_nothing(index_elements=[*keys]))
