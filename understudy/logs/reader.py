"""The logs as DuckDB views, one per log, with a fixed set of columns.

Files of other versions of this software can be read: a column that a file lacks is NULL, and an
unknown column is left out.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError, UnavailableError
from understudy.logs.schema import LogKind, schema_of_kind
from understudy.runtime.in_memory_sql import open_in_memory

_READ_OPTIONS = (
    "union_by_name = true, hive_partitioning = true, hive_types = {'model': VARCHAR, 'date': DATE}"
)
_FAULTS_OF_A_QUERY = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.ConversionException,
)


class LogReader:
    """A connection with the views `score`, `shadow` and `outcomes` of all visible rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def table(self, query: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Return the rows of `query`, whose `$name` parameters are given by name.

        Raises:
            InvalidInputError: the query is invalid.
            UnavailableError: the logs cannot be read; the message gives the reason.
        """
        with _own_errors():
            return self._connection.sql(query, params=dict(parameters or {})).to_arrow_table()

    def keep(self, name: str, query: str, parameters: Mapping[str, object]) -> None:
        """Keep the rows of `query` as the table `name` until this reader is closed.

        Raises:
            The errors of `table`.
        """
        with _own_errors():
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}", parameters)

    def rows(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Return the rows of `query` as dictionaries; for few rows. Raises the errors of `table`."""
        rows: list[dict[str, Any]] = self.table(query, parameters).to_pylist()
        return rows


@contextmanager
def open_logs(root: Path) -> Iterator[LogReader]:
    """Open the logs below `root` for reading.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: a file in the directory cannot be read.
    """
    if not root.is_dir():
        raise NotFoundError("log directory", root)
    with open_in_memory() as connection:
        with _own_errors():
            for kind in LogKind:
                _create_view(connection, root, kind)
        yield LogReader(connection)


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except _FAULTS_OF_A_QUERY as error:
        raise InvalidInputError([Fault("query", one_line(error), "a DuckDB query")]) from error
    except duckdb.Error as error:
        raise UnavailableError("log", one_line(error)) from error


def one_line(error: duckdb.Error) -> str:
    """Return DuckDB's message as one line."""
    return " ".join(str(error).split())


def _create_view(connection: duckdb.DuckDBPyConnection, root: Path, kind: LogKind) -> None:
    schema = schema_of_kind(kind)
    connection.register(f"empty_{kind.value}", schema.empty_table())
    sources = [f"SELECT NULL::VARCHAR AS model, NULL::DATE AS date, * FROM empty_{kind.value}"]  # noqa: S608 - our names only
    if any(root.glob(f"{kind.value}/*/*/*.parquet")):
        pattern = _quoted(f"{escape(str(root))}/{kind.value}/*/*/*.parquet")
        sources.append(f"SELECT * FROM read_parquet({pattern}, {_READ_OPTIONS})")  # noqa: S608 - quoted
    columns = ", ".join(f'"{name}"' for name in ("model", "date", *schema.names))
    union = " UNION ALL BY NAME ".join(sources)
    connection.execute(f"CREATE VIEW {kind.value} AS SELECT {columns} FROM ({union})")  # noqa: S608 - as above


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
