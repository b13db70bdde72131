"""The logs as DuckDB views, one per log, with a fixed set of columns.

Files of another version of this software, or of other software, are left out and named.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError, UnavailableError
from understudy.logs.finished_files import EVERYTHING, Scope, finished_files
from understudy.logs.readable_files import LeftOut, readable_files
from understudy.logs.schema import LogKind, schema_of_kind
from understudy.runtime.in_memory_sql import open_in_memory, open_unconfined, text_literal

_READ_OPTIONS = "hive_partitioning = true, hive_types = {'model': VARCHAR, 'date': DATE}"
_PARTITIONS = pa.schema([pa.field("model", pa.string()), pa.field("date", pa.date32())])
_CONFINED = "a query over the views score, shadow and outcomes; files and the rest with --unsafe"
_FAULTS_OF_A_QUERY = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.ConversionException,
)
_QUERIES = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)

_BATCH_ROWS = 65_536

SourceOf = Callable[[LogKind, Sequence[Path]], str]


class LogReader:
    """A connection with the views `score`, `shadow` and `outcomes` of all visible rows."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, only_queries: bool = False
    ) -> None:
        """With `only_queries`, `table` and `rows` refuse statements that cannot be queries."""
        self._connection = connection
        self._only_queries = only_queries
        self.left_out: tuple[LeftOut, ...] = ()

    def table(self, query: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Return the rows of `query`, whose `$name` parameters are given by name.

        Raises:
            InvalidInputError: the query is invalid.
            UnavailableError: the logs cannot be read; the message gives the reason.
        """
        with _own_errors():
            if self._only_queries:
                _check_queries(self._connection.extract_statements(query))
            return self._connection.sql(query, params=dict(parameters or {})).to_arrow_table()

    def batches(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Return the rows of `query` a part at a time, so that they need not fit into memory.

        Raises:
            The errors of `table`, also while the parts are read.
        """
        with _own_errors():
            result = self._connection.sql(query, params=dict(parameters or {}))
            batches: pa.RecordBatchReader = result.to_arrow_reader(_BATCH_ROWS)
            yield from batches

    def keep(self, name: str, query: str, parameters: Mapping[str, object]) -> None:
        """Keep the rows of `query` as the table `name` until this reader is closed.

        Raises:
            The errors of `table`.
        """
        with _own_errors():
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}", parameters)

    def add(self, name: str, table: pa.Table | pa.RecordBatchReader) -> None:
        """Add a table of the caller to those that queries read, until this reader is closed.

        A reader can be read by one query.
        """
        self._connection.register(name, table)

    def rows(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Return the rows of `query` as dictionaries; for few rows. Raises the errors of `table`."""
        rows: list[dict[str, Any]] = self.table(query, parameters).to_pylist()
        return rows


@contextmanager
def open_logs(
    root: Path, scope: Scope = EVERYTHING, *, memory_limit: str | None = None
) -> Iterator[LogReader]:
    """Open the logs below `root` for queries of our own.

    Only files in scope are opened. Those that are no log of this version are left out and named.
    With a `memory_limit`, e.g. `400MiB`, larger results spill to the temporary directory, and rows
    have an order only where the query gives one.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: a file was removed or damaged after it was opened.
        InvalidInputError: a link leads out of the directory.
    """
    _check_exists(root)
    folders = [root.resolve()]
    with (
        open_in_memory(directories=folders)
        if memory_limit is None
        else open_in_memory(directories=folders, memory_limit=memory_limit, keeps_order=False)
    ) as connection:
        yield _reader(connection, root, scope, _scan)


@contextmanager
def open_logs_to_any_query(root: Path, scope: Scope = EVERYTHING) -> Iterator[LogReader]:
    """Open the logs below `root` for queries that are not ours: DuckDB has access to no file.

    Arrow reads the logs. A directory that DuckDB may read it may also write (`COPY` hides in a
    common table expression), and it follows links. Raises the errors of `open_logs`.
    """
    _check_exists(root)
    with open_in_memory() as connection:
        stream = partial(_stream, connection, root)
        yield _reader(connection, root, scope, stream, only_queries=True)


@contextmanager
def open_logs_unsafely(root: Path, scope: Scope = EVERYTHING) -> Iterator[LogReader]:
    """Open the logs below `root` for queries with all rights of this process.

    Raises the errors of `open_logs`.
    """
    _check_exists(root)
    with open_unconfined() as connection:
        yield _reader(connection, root, scope, _scan)


def _check_exists(root: Path) -> None:
    if not root.is_dir():
        raise NotFoundError("log directory", root)


def _reader(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    scope: Scope,
    source_of: SourceOf,
    *,
    only_queries: bool = False,
) -> LogReader:
    reader = LogReader(connection, only_queries=only_queries)
    with _own_errors():
        for kind in LogKind:
            paths, left_out = readable_files(finished_files(root, kind, scope), kind)
            reader.left_out += left_out
            _create_view(connection, kind, source_of(kind, paths) if paths else None)
    return reader


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except _FAULTS_OF_A_QUERY as error:
        raise InvalidInputError([Fault("query", one_line(error), "a DuckDB query")]) from error
    except duckdb.PermissionException as error:
        raise InvalidInputError([Fault("query", one_line(error), _CONFINED)]) from error
    except duckdb.Error as error:
        raise UnavailableError("log", one_line(error)) from error


def _check_queries(statements: Sequence[duckdb.Statement]) -> None:
    # For a clear refusal only: confinement does not depend on it.
    for each in statements:
        if each.type not in _QUERIES:
            raise InvalidInputError.of("query", read=f"a {each.type.name}", accepted=_CONFINED)


def one_line(error: duckdb.Error) -> str:
    """Return DuckDB's message as one line."""
    return " ".join(str(error).split())


def _scan(_kind: LogKind, paths: Sequence[Path]) -> str:
    """Return a source of these files as read by DuckDB."""
    listed = ", ".join(text_literal(str(path)) for path in paths)
    return f"read_parquet([{listed}], {_READ_OPTIONS})"


def _stream(
    connection: duckdb.DuckDBPyConnection, root: Path, kind: LogKind, paths: Sequence[Path]
) -> str:
    """Return a source of these files as read by Arrow."""
    dataset = ds.dataset(
        [str(path) for path in paths],
        schema=pa.schema([*_PARTITIONS, *schema_of_kind(kind)]),
        format="parquet",
        partitioning=ds.partitioning(_PARTITIONS, flavor="hive"),
        partition_base_dir=str(root.resolve() / kind.value),
    )
    connection.register(f"{kind.value}_files", dataset)
    return f"{kind.value}_files"


def _create_view(connection: duckdb.DuckDBPyConnection, kind: LogKind, source: str | None) -> None:
    schema = schema_of_kind(kind)
    connection.register(f"empty_{kind.value}", schema.empty_table())
    sources = [f"SELECT NULL::VARCHAR AS model, NULL::DATE AS date, * FROM empty_{kind.value}"]  # noqa: S608 - our names only
    if source is not None:
        sources.append(f"SELECT * FROM {source}")  # noqa: S608 - quoted
    columns = ", ".join(f'"{name}"' for name in ("model", "date", *schema.names))
    union = " UNION ALL BY NAME ".join(sources)
    connection.execute(f"CREATE VIEW {kind.value} AS SELECT {columns} FROM ({union})")  # noqa: S608 - as above
