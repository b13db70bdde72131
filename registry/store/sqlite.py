"""SQLite as the registry's database: one process per file, in WAL mode, one writer at a time."""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import DDL, Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError

from registry.store.ports import Named
from registry.store.schema import WRITTEN_ONCE, metadata
from understudy.domain.errors import UnavailableError
from understudy.runtime.synced_folder import sync_folder

_BUSY_TIMEOUT_MS = 5_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"


def sqlite_engine(path: Path) -> Engine:
    """Return an engine for the file at `path`; nothing is opened yet."""
    engine = create_engine(f"sqlite:///{path}", pool_size=8, max_overflow=8)
    event.listen(engine, "connect", _configure)
    return engine


class Sqlite:
    """The adapter; see the port."""

    begin_reading = "BEGIN"
    begin_writing = "BEGIN IMMEDIATE"
    begin_owning_files = "BEGIN"  # no other process has them
    begin_opening = begin_upgrading = begin_writing  # no other process upgrades an open file

    def require_alone(self, connection: Connection) -> None:
        """Return: the lock of the directory keeps other processes away."""

    def create_missing(self, connection: Connection) -> None:
        metadata.create_all(connection)

    def finish_writing(self, connection: Connection, *, changes_state: bool) -> None:
        """Tell no one: one process uses the file."""

    def insert(self, table: Table) -> Insert:
        return insert(table)

    def identity_of(self, connection: Connection) -> str:
        """Return a text that a copy of the file, or the same file elsewhere, does not have.

        The start of the system is part of it, because a volume can be mounted under the same device
        and inode on another machine.
        """
        path = connection.engine.url.database
        if path is None:
            return ""
        status = Path(path).stat()
        return f"{_boot_id()}:{status.st_dev}:{status.st_ino}"

    def objects_of(self, connection: Connection) -> Mapping[Named, str]:
        rows = connection.exec_driver_sql(_OBJECTS)
        # A table that a step made anew has its name in quotation marks.
        return {
            (kind, name): sql.replace(f'CREATE TABLE "{name}"', f"CREATE TABLE {name}", 1)
            for kind, name, sql in rows
        }

    def expected_objects(self) -> Mapping[Named, str]:
        return _expected_objects()

    @contextmanager
    def any_text(self, connection: Connection) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        before = driver.text_factory
        driver.text_factory = lambda read: read.decode(errors="surrogateescape")
        try:
            yield
        finally:
            driver.text_factory = before

    def is_fault_of_ours(self, error: DBAPIError) -> bool:
        return isinstance(error, IntegrityError | InterfaceError)


def copy_database(connection: Connection, copy: Path) -> None:
    """Copy the file to another, in place of an earlier copy: whole and on disk before it has its name.

    Raises:
        UnavailableError: it cannot be written.
    """
    driver: Any = connection.connection.driver_connection
    part = copy.with_name(f".{copy.name}.part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as target:
            driver.backup(target)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(copy)
        sync_folder(copy.parent)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise UnavailableError(f"copy {copy}", str(error)) from error


def triggers_of(table: str) -> list[str]:
    """Return the statements that make the triggers which let rows only be inserted.

    A step that makes such a table anew makes them again.
    """
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} are written once'); END"
        for verb in ("UPDATE", "DELETE")
    ]


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver starts no transaction by itself
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


@cache
def _expected_objects() -> Mapping[Named, str]:
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as empty:
            metadata.create_all(empty)
            return Sqlite().objects_of(empty)
    finally:
        engine.dispose()


def _boot_id() -> str:
    """Return the id of this start of the system; a new one if the system does not give it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return str(uuid4())


for _table in WRITTEN_ONCE:
    for _statement in triggers_of(_table.name):
        event.listen(
            _table,
            "after_create",
            DDL(_statement).execute_if(dialect="sqlite"),  # type: ignore[no-untyped-call] # untyped in SQLAlchemy
        )
