"""The logs as DuckDB views, one per log, with a fixed set of columns.

Files of another version of this software, or of other software, are left out and named.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError, UnavailableError
from understudy.logs.finished_files import EVERYTHING, Scope, finished_files
from understudy.logs.log_sources import SourceOf, create_view, scan, stream
from understudy.logs.readable_files import LeftOut, readable_files
from understudy.logs.schema import LogKind
from understudy.runtime.in_memory_sql import open_in_memory, open_unconfined

_CONFINED = "a query over the views score, shadow and outcomes; files and the rest with --unsafe"
_FAULTS_OF_A_QUERY = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.ConversionException,
)
_OTHER_FAULTS = (  # than those of a damaged file
    *_FAULTS_OF_A_QUERY,
    duckdb.PermissionException,
    duckdb.OutOfMemoryException,
    duckdb.OutOfRangeException,
    duckdb.InterruptException,
    duckdb.FatalException,
)
_QUERIES = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI)

_BATCH_ROWS = 65_536

_AnswerT = TypeVar("_AnswerT")


class LogReader:
    """A connection with the views `score`, `shadow` and `outcomes` of all visible rows.

    A file may be damaged behind a description that is whole. It is found when a query fails: the
    query is then answered without it, and it is named in `left_out`.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source_of: SourceOf = scan,
        *,
        only_queries: bool = False,
    ) -> None:
        """With `only_queries`, `table` and `rows` refuse statements that cannot be queries."""
        self._connection = connection
        self._source_of = source_of
        self._only_queries = only_queries
        self._files: dict[LogKind, list[Path]] = {}
        self.left_out: tuple[LeftOut, ...] = ()

    def open(self, root: Path, scope: Scope) -> None:
        """Create the views over the files in scope.

        Raises:
            InvalidInputError: a link leads out of the directory.
            UnavailableError: DuckDB fails.
        """
        for kind in LogKind:
            self._files[kind], left_out = readable_files(finished_files(root, kind, scope), kind)
            self.left_out += left_out
        with _own_errors():
            self._answered(self._create_views)

    def table(self, query: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Return the rows of `query`, whose `$name` parameters are given by name.

        Raises:
            InvalidInputError: the query is invalid.
            UnavailableError: the logs cannot be read; the message gives the reason.
        """
        with _own_errors():
            if self._only_queries:
                _check_queries(self._connection.extract_statements(query))
            return self._answered(lambda: self._asked(query, parameters).to_arrow_table())

    def batches(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Return the rows of `query` a part at a time, so that they need not fit into memory.

        Raises:
            The errors of `table`, also while the parts are read.
        """

        def begun() -> tuple[list[pa.RecordBatch], pa.RecordBatchReader]:
            batches = self._asked(query, parameters).to_arrow_reader(_BATCH_ROWS)
            return list(islice(batches, 1)), batches

        with _own_errors():
            first, others = self._answered(begun)
            yield from first
            yield from others

    def keep(self, name: str, query: str, parameters: Mapping[str, object]) -> None:
        """Keep the rows of `query` as the table `name` until this reader is closed.

        Raises:
            The errors of `table`.
        """
        kept = f"CREATE OR REPLACE TEMP TABLE {name} AS {query}"
        with _own_errors():
            self._answered(lambda: self._connection.execute(kept, parameters))

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

    def _asked(
        self, query: str, parameters: Mapping[str, object] | None
    ) -> duckdb.DuckDBPyRelation:
        return self._connection.sql(query, params=dict(parameters or {}))

    def _answered(self, ask: Callable[[], _AnswerT]) -> _AnswerT:
        """Return the answer, if need be without the files that cannot be read."""
        try:
            return ask()
        except _OTHER_FAULTS:
            raise
        except duckdb.Error:
            if not self._leave_out_damaged():
                raise
        return ask()

    def _leave_out_damaged(self) -> bool:
        """Leave out the files whose rows cannot be read; return whether there are any."""
        damaged: list[LeftOut] = []
        for kind, paths in self._files.items():
            found = [LeftOut(path, why) for path in paths if (why := self._damage_of(kind, path))]
            gone = {each.path for each in found}
            self._files[kind] = [path for path in paths if path not in gone]
            damaged += found
        self.left_out += tuple(damaged)
        self._create_views()  # each file was a source by itself
        return bool(damaged)

    def _damage_of(self, kind: LogKind, path: Path) -> str:
        """Return why the rows of a file cannot be read; empty if they can, or if it is gone."""
        if not path.exists():
            return ""  # merged meanwhile: without its rows the answer would be wrong
        try:
            source = self._source_of(kind, [path])
            for _ in self._asked(f"SELECT * FROM {source}", None).to_arrow_reader(_BATCH_ROWS):  # noqa: S608 - quoted
                pass
        except _OTHER_FAULTS:
            raise
        except (duckdb.Error, UnicodeError) as error:
            return one_line(error)
        return ""

    def _create_views(self) -> None:
        for kind, paths in self._files.items():
            source = self._source_of(kind, paths) if paths else None
            create_view(self._connection, kind, source)


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
        yield _reader(connection, root, scope, scan)


@contextmanager
def open_logs_to_any_query(root: Path, scope: Scope = EVERYTHING) -> Iterator[LogReader]:
    """Open the logs below `root` for queries that are not ours: DuckDB has access to no file.

    Arrow reads the logs. A directory that DuckDB may read it may also write (`COPY` hides in a
    common table expression), and it follows links. Raises the errors of `open_logs`.
    """
    _check_exists(root)
    with open_in_memory() as connection:
        of_arrow = partial(stream, connection, root)
        yield _reader(connection, root, scope, of_arrow, only_queries=True)


@contextmanager
def open_logs_unsafely(root: Path, scope: Scope = EVERYTHING) -> Iterator[LogReader]:
    """Open the logs below `root` for queries with all rights of this process.

    Raises the errors of `open_logs`.
    """
    _check_exists(root)
    with open_unconfined() as connection:
        yield _reader(connection, root, scope, scan)


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
    reader = LogReader(connection, source_of, only_queries=only_queries)
    reader.open(root, scope)
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


def one_line(error: Exception) -> str:
    """Return a message, such as DuckDB's, as one line."""
    return " ".join(str(error).split())
