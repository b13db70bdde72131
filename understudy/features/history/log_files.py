"""The score log as read by DuckDB, with our errors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import InvalidInputError, NotFoundError
from understudy.domain.logged_features import FeatureList, ListedFeatures
from understudy.domain.logged_ids import LoggedIds
from understudy.domain.merged_files import replaced_files
from understudy.features.loading.source_files import matching_files
from understudy.runtime.files_by_ids import FilesOfIds, files_by_ids
from understudy.runtime.in_memory_sql import open_in_memory, text_literal

INTEGERS = "__integers"  # the int64 values of a row, exactly; null for others
TYPES = "__types"  # the list of the log that has each value; a null list in files of other software
_OF_NUMBERS = (FeatureList.FLOATS, FeatureList.DOUBLES, FeatureList.INT64S)


@dataclass(frozen=True, slots=True)
class LoggedRows:
    """The rows of a score log as the table `log` of queries."""

    connection: duckdb.DuckDBPyConnection
    files: str
    other_ids: Sequence[FilesOfIds] = ()  # files that are left out: their ids cannot be found

    def table(self, query: str) -> pa.Table:
        """Return the rows of `query`.

        Raises:
            InvalidInputError: the query does not fit the log, or a file is unreadable.
        """
        try:
            return self.connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise _fault_of(self.files, error) from error


@contextmanager
def open_log(files: str, ids: LoggedIds | None = None) -> Iterator[LoggedRows]:
    """Open Parquet files of a score log, a path or a glob.

    Folders named `model=` and `date=` are columns, as written by a router; others are only names.

    Args:
        files: the path or glob.
        ids: the rule by which ids will be looked up: files that state another form or key are left
            out. None for queries that look none up.

    Raises:
        NotFoundError: there are no such files.
        InvalidInputError: a file is unreadable, or all files state another form or key of ids.
    """
    paths = matching_files(files)
    if not paths:
        raise NotFoundError("score log", files)
    other_ids: Sequence[FilesOfIds] = ()
    if ids is not None:
        found = files_by_ids(paths, ids)
        paths, other_ids = list(found.searchable), found.others
    is_ours = all(_is_partitioned(path) for path in paths)
    options = f"union_by_name = true, hive_partitioning = {str(is_ours).lower()}"
    if is_ours:
        options += ", hive_types = {'model': VARCHAR, 'date': DATE}"
    folders = dict.fromkeys(path.resolve().parent for path in paths)
    with open_in_memory(directories=folders) as connection:
        try:
            sources = " UNION ALL BY NAME ".join(
                f"SELECT *{_vector_of(listed)} FROM read_parquet([{_literals(of)}], {options})"  # noqa: S608 - quoted
                for listed, of in _by_features(paths).items()
            )
            connection.execute(f"CREATE TEMP VIEW log AS {sources}")
        except duckdb.Error as error:
            raise _fault_of(files, error) from error
        yield LoggedRows(connection, files, other_ids)


def _literals(paths: Sequence[Path]) -> str:
    return ", ".join(text_literal(str(path.resolve())) for path in paths)


def _by_features(paths: Sequence[Path]) -> dict[ListedFeatures | None, list[Path]]:
    """Return the files by the features in their lists; None for files of other software."""
    stated: dict[Path, Mapping[bytes, bytes]] = {}
    for path in paths:
        try:
            stated[path] = pq.read_schema(path).metadata or {}
        except (OSError, pa.ArrowException) as error:
            raise _fault_of(str(path), error) from error
    replaced = replaced_files({str(path): metadata for path, metadata in stated.items()})
    found: dict[ListedFeatures | None, list[Path]] = {}
    for path, metadata in stated.items():
        if str(path) not in replaced:
            found.setdefault(ListedFeatures.from_metadata(metadata), []).append(path)
    return found


def _vector_of(listed: ListedFeatures | None) -> str:
    """Return columns of lists in the order of the feature set; see `INTEGERS` and `TYPES`.

    `features` has the numbers of a row, null where the log has none: a text, or a value that is not
    logged.
    """
    if listed is None:
        return f", NULL::BIGINT[] AS {INTEGERS}, NULL::VARCHAR[] AS {TYPES}"
    if not listed.lists:
        return f", NULL::DOUBLE[] AS features, NULL::BIGINT[] AS {INTEGERS}, NULL::VARCHAR[] AS {TYPES}"
    places = {
        name: (column, f"{column}[{place}]")
        for column, names in listed.lists
        if column in _OF_NUMBERS
        for place, name in enumerate(names, start=1)
    }
    found = [places.get(name, ("", "NULL")) for name in listed.names]
    values = ", ".join(f"{value}::DOUBLE" for _, value in found)
    integers = ", ".join(
        f"{value if column is FeatureList.INT64S else 'NULL'}::BIGINT" for column, value in found
    )
    types = ", ".join(f"'{column}'" for column, _ in found)
    return (
        f", CASE WHEN {listed.lists[0][0]} IS NOT NULL THEN [{values}] END AS features"
        f", [{integers}] AS {INTEGERS}, [{types}] AS {TYPES}"
    )


def condition_of_scored(logged: LoggedRows) -> str:
    """Return a condition for rows that a version scored; the ladder's own answers read nothing."""
    if "level" not in logged.table("SELECT * FROM log LIMIT 0").column_names:
        return "true"
    level = f"coalesce(TRY_CAST({quoted('level')} AS INTEGER), 0)"
    return f"{level} < {DegradationLevel.FALLBACK.value}"


def quoted(name: str) -> str:
    """Return a column's name for a query, as a column of the log and never a DuckDB function."""
    return 'log."' + name.replace('"', '""') + '"'


def _is_partitioned(path: Path) -> bool:
    date, model = path.parent.name, path.parent.parent.name
    return date.startswith("date=") and model.startswith("model=")


def _fault_of(files: str, error: Exception) -> InvalidInputError:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return InvalidInputError.of(files, read=first_line, accepted="a score log")
