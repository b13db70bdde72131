"""DuckDB with settings of the project: the only place that opens a connection.

No result depends on a machine's settings, and a query reaches only the files that its caller names.
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import duckdb

_MEMORY_LIMIT = "1GiB"


def open_in_memory(
    *,
    files: Iterable[Path] = (),
    directories: Iterable[Path] = (),
    memory_limit: str = _MEMORY_LIMIT,
    keeps_order: bool = True,
) -> duckdb.DuckDBPyConnection:
    """Open an empty database that is confined; close it, or use it in a `with` block.

    Times without a zone are in UTC, nothing is downloaded or loaded, no setting can be changed, and
    a misspelled table never resolves to a Python variable.

    Args:
        files: the only files that it may read and write, besides `directories`.
        directories: may be read and written with everything below. DuckDB follows links out of
            them, so queries that are not ours get neither `files` nor `directories`.
        memory_limit: a size such as `1GiB`; beyond it, sorts and joins spill.
        keeps_order: whether rows without an `ORDER BY` have the order of their files, for which
            much of a large result must be held in memory.
    """
    connection = open_unconfined(memory_limit=memory_limit)
    connection.execute(f"SET preserve_insertion_order = {str(keeps_order).lower()}")
    folders = [f"{each.absolute()}/" for each in directories]  # a bare prefix also means siblings
    connection.execute(f"SET allowed_paths = {_texts(str(each.absolute()) for each in files)}")
    connection.execute(f"SET allowed_directories = {_texts(folders)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def open_unconfined(*, memory_limit: str = _MEMORY_LIMIT) -> duckdb.DuckDBPyConnection:
    """Open an empty database with the rights of this process: for `--unsafe` only.

    Its queries may read and write any file, load extensions and change settings.
    """
    # By default DuckDB spills to `.tmp` in the working directory. It creates the folder given here
    # only when it spills, and removes it on close.
    spilled = Path(gettempdir()) / f"understudy-sql-{uuid4().hex}"
    connection = duckdb.connect(  # noqa: TID251 - the door
        ":memory:",
        config={
            "temp_directory": str(spilled),
            "memory_limit": memory_limit,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def text_literal(text: str) -> str:
    """Return `text` as a literal of SQL, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def _texts(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(text_literal, texts))}]"
