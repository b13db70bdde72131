"""DuckDB with settings of the project, so that no result depends on a machine's settings."""

from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import duckdb

_MEMORY_LIMIT = "1GiB"  # beyond it, sorts and joins spill


def open_in_memory() -> duckdb.DuckDBPyConnection:
    """Open an empty database; close it, or use it in a `with` block.

    Times without a zone are in UTC, memory is bounded, nothing is downloaded, and a misspelled
    table never resolves to a Python variable. By default DuckDB spills to `.tmp` in the working directory.
    It creates the folder given here only when it spills, and removes it on close.
    """
    spilled = Path(gettempdir()) / f"understudy-sql-{uuid4().hex}"
    connection = duckdb.connect(
        ":memory:",
        config={
            "temp_directory": str(spilled),
            "memory_limit": _MEMORY_LIMIT,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection
