"""The registry's database: SQLite in WAL mode, one writer at a time."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DatabaseError, OperationalError

from registry.store import lineage, schema
from understudy.domain.errors import RefusedError, UnavailableError

_BUSY_TIMEOUT_MS = 5_000
_DEPENDENCY = "registry database"


def open_database(path: Path) -> Engine:
    """Return an engine for the file at `path`, creating missing tables.

    Raises:
        UnavailableError: the file cannot be opened, or is not a database.
        RefusedError: a newer registry wrote it.
    """
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=8)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        with writing(engine) as connection:
            schema.metadata.create_all(connection)
            _check_schema_version(connection)
            lineage.begin(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that may write; it holds the write lock from start to end."""
    with (
        _translated(),
        engine.connect() as connection,
        connection.execution_options(begin="BEGIN IMMEDIATE").begin(),
    ):
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a consistent view; never waits for a writer."""
    with (
        _translated(),
        engine.connect() as connection,
        connection.execution_options(begin="BEGIN").begin(),
    ):
        yield connection


def _check_schema_version(connection: Connection) -> None:
    table = schema.settings
    found = connection.execute(
        select(table.c.value).where(table.c.name == "schema_version")
    ).scalar_one_or_none()
    if found is None:
        connection.execute(
            table.insert().values(name="schema_version", value=schema.SCHEMA_VERSION)
        )
    elif found != schema.SCHEMA_VERSION:
        raise RefusedError(
            f"the database has schema {found}; this registry reads schema {schema.SCHEMA_VERSION}"
        )


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver starts no transaction by itself; `_begin` does
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # an answered change survives a power cut
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise UnavailableError(_DEPENDENCY, str(error.orig)) from error
    except DatabaseError as error:
        if isinstance(error.orig, sqlite3.IntegrityError):
            raise  # a violated constraint is a bug of ours
        raise UnavailableError(_DEPENDENCY, str(error.orig)) from error
