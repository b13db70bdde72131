"""Rows as they are in the file, whatever is in them, for verification. Functions run in a transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, create_engine

from registry.store.schema import metadata
from understudy.domain.errors import InvalidInputError

_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"


def raw_rows(connection: Connection, table: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table with all their columns, in order of the primary key.

    Text that is not UTF-8 is read too, with surrogates, so that it is a fault of its row and not the
    end of the verification.

    Raises:
        InvalidInputError: the registry has no such table.
    """
    if table not in metadata.tables:
        raise InvalidInputError.of("table", read=table, accepted=", ".join(sorted(metadata.tables)))
    keys = ", ".join(column.name for column in metadata.tables[table].primary_key)
    with _any_text(connection):
        # The name is one of ours.
        found = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY {keys}")  # noqa: S608
        names = tuple(found.keys())
        for row in found:
            yield dict(zip(names, row, strict=True))


def altered_objects(connection: Connection) -> list[str]:
    """Return the tables and triggers that the schema does not have, or not in this form, or lacks."""
    found, expected = _objects(connection), _expected_objects()
    return sorted(
        f"{kind} {name}"
        for kind, name in {*found, *expected}
        if found.get((kind, name)) != expected.get((kind, name))
    )


@cache
def _expected_objects() -> Mapping[tuple[str, str], str | None]:
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as empty:
            metadata.create_all(empty)
            return _objects(empty)
    finally:
        engine.dispose()


def _objects(connection: Connection) -> dict[tuple[str, str], str | None]:
    rows = connection.exec_driver_sql(_OBJECTS)
    return {(kind, name): sql for kind, name, sql in rows}


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    before = driver.text_factory
    driver.text_factory = lambda read: read.decode(errors="surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before
