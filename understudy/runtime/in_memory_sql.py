"""DuckDB in memory; it spills to the temporary folder, not to the working directory."""

from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import duckdb


def open_in_memory() -> duckdb.DuckDBPyConnection:
    """Open an empty database.

    By default DuckDB spills to `.tmp` in the working directory. It creates the folder given here
    only when it spills, and removes it on close.
    """
    spilled = Path(gettempdir()) / f"understudy-sql-{uuid4().hex}"
    return duckdb.connect(":memory:", config={"temp_directory": str(spilled)})
