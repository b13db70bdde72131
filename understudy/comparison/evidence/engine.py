"""The port to the engine that answers the queries of a comparison.

DuckDB answers them from Parquet files (`understudy.logs.reader.LogReader`). Another engine needs the
views `score`, `shadow` and `outcomes`, and standard SQL with `ASOF` joins and `md5_number`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import pyarrow as pa

MEMORY_LIMIT = "300MiB"
"""Of the engine. With the columns of 10 million rows, and the statistics, below 1 GiB in all."""


class Engine(Protocol):
    """Answers to queries over the views `score`, `shadow` and `outcomes`, in bounded memory."""

    def keep(self, name: str, query: str, parameters: Mapping[str, object]) -> None:
        """Keep the rows of `query` as the table `name`, on disk if they do not fit."""
        ...

    def add(self, name: str, table: pa.Table | pa.RecordBatchReader) -> None:
        """Add a table of the caller to those that queries read; a reader can be read once."""
        ...

    def rows(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Return the rows of `query`, for few of them."""
        ...

    def table(self, query: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Return the rows of `query`, all in memory."""
        ...

    def batches(
        self, query: str, parameters: Mapping[str, object] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Return the rows of `query` a part at a time."""
        ...
