"""An export of the registry's tables as JSON lines, which can be verified without the registry."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Boolean, Connection

from registry.store.raw_rows import raw_rows
from registry.store.schema import VOLATILE_TABLES, metadata
from understudy.domain.errors import CorruptedError, Fault, InvalidInputError

_FORMAT = "understudy/registry_export/1"
_HEADER = json.dumps({"format": _FORMAT})


def exported_lines(connection: Connection) -> Iterator[str]:
    """Yield the header, then every row that the audit log covers, in one state of the database."""
    yield _HEADER
    for table in exported_tables():
        columns = metadata.tables[table].columns
        booleans = frozenset(each.name for each in columns if isinstance(each.type, Boolean))
        for row in raw_rows(connection, table):
            written = {
                name: bool(value) if name in booleans and value in {0, 1} else _written(name, value)
                for name, value in row.items()
            }
            yield json.dumps({"table": table, "row": written}, ensure_ascii=False)


def exported_bytes(connection: Connection) -> Iterator[bytes]:
    """Yield the lines of an export in UTF-8, each with its end.

    Raises:
        CorruptedError: a row has text that is not Unicode, which no registry writes.
    """
    for line in exported_lines(connection):
        try:
            yield f"{line}\n".encode()
        except UnicodeEncodeError as error:
            raise CorruptedError(f"a row has text that is not Unicode: {line[:80]!a}") from error


def exported_tables() -> tuple[str, ...]:
    """Return the names of the exported tables, in their order."""
    return tuple(sorted(metadata.tables.keys() - VOLATILE_TABLES))


def lines_of(text: str) -> list[str]:
    """Return the lines of an export; texts in it may have other characters that break lines."""
    return text.removesuffix("\n").split("\n")


def tables_from_lines(lines: Iterable[str]) -> Mapping[str, list[dict[str, Any]]]:
    """Return the rows of an export by table.

    Raises:
        InvalidInputError: the text is not an export, or was cut off within a line.
    """
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in exported_tables()}
    rest = iter(lines)
    header = next(rest, "")
    if header != _HEADER:
        raise InvalidInputError([Fault("line 1", header[:80] or "nothing", _HEADER)])
    for number, line in enumerate(rest, start=2):
        try:
            read = json.loads(line)
            row = {name: _read(name, value) for name, value in read["row"].items()}
            tables[read["table"]].append(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            accepted = f"a row of {_FORMAT}"
            raise InvalidInputError([Fault(f"line {number}", line[:80], accepted)]) from error
    return tables


def _written(name: str, value: Any) -> Any:
    if name.endswith("_ns"):
        return str(value)  # other languages would round it
    if isinstance(value, bytes):
        return {"bytes": value.hex()}  # which no registry writes: a fault of the row
    return value


def _read(name: str, value: Any) -> Any:
    if name.endswith("_ns"):
        return int(value)
    return bytes.fromhex(value["bytes"]) if isinstance(value, dict) else value
