"""The files of a log as sources of a query, read by DuckDB or by Arrow, and the view over them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from understudy.logs.schema import LogKind, schema_of_kind
from understudy.runtime.in_memory_sql import text_literal

_READ_OPTIONS = "hive_partitioning = true, hive_types = {'model': VARCHAR, 'date': DATE}"
_PARTITIONS = pa.schema([pa.field("model", pa.string()), pa.field("date", pa.date32())])

SourceOf = Callable[[LogKind, Sequence[Path]], str]


def scan(_kind: LogKind, paths: Sequence[Path]) -> str:
    """Return a source of these files as read by DuckDB."""
    listed = ", ".join(text_literal(str(path)) for path in paths)
    return f"read_parquet([{listed}], {_READ_OPTIONS})"


def stream(
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


def create_view(connection: duckdb.DuckDBPyConnection, kind: LogKind, source: str | None) -> None:
    """Create the view of a log, or replace it; without a source it is empty."""
    schema = schema_of_kind(kind)
    connection.register(f"empty_{kind.value}", schema.empty_table())
    sources = [f"SELECT NULL::VARCHAR AS model, NULL::DATE AS date, * FROM empty_{kind.value}"]  # noqa: S608 - our names only
    if source is not None:
        sources.append(f"SELECT * FROM {source}")  # noqa: S608 - quoted
    columns = ", ".join(f'"{name}"' for name in ("model", "date", *schema.names))
    union = " UNION ALL BY NAME ".join(sources)
    connection.execute(f"CREATE OR REPLACE VIEW {kind.value} AS SELECT {columns} FROM ({union})")  # noqa: S608 - as above
