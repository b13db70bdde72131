"""Rows as they are in the file, whatever is in them, for verification. Functions run in a transaction."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from registry.store.dialects import dialect_of
from registry.store.schema import metadata
from understudy.domain.errors import InvalidInputError


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
    with dialect_of(connection).any_text(connection):
        # The name is one of ours.
        query = f"SELECT * FROM {table} ORDER BY {keys}"  # noqa: S608
        found = connection.exec_driver_sql(query, execution_options={"stream_results": True})
        names = tuple(found.keys())
        for row in found:
            yield dict(zip(names, row, strict=True))


def altered_objects(connection: Connection) -> list[str]:
    """Return the tables and triggers that the schema does not have, or not in this form, or lacks."""
    dialect = dialect_of(connection)
    found, expected = dialect.objects_of(connection), dialect.expected_objects()
    return sorted(
        f"{kind} {name}"
        for kind, name in {*found, *expected}
        if found.get((kind, name)) != expected.get((kind, name))
    )
