"""A stopped registry with schema 6, on each kind of database; see `schema_6/README.md`."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from registry.decisions.actors import Actor
from registry.store.database import existing, reading
from registry.store.dialects import dialect_of
from registry.store.postgresql import PostgresqlPlace
from registry.store.schema import metadata
from tests.registry.postgresql import Server

Place = Path | PostgresqlPlace
SAMPLE = Path(__file__).with_name("schema_6")
FOUND = 6
ADA = Actor("ada@lab", on_behalf_of="vera")
REASON = "release 0.2"


@dataclass(frozen=True, slots=True)
class Earlier:
    """The database and the directory of a registry."""

    place: Place
    directory: Path

    @property
    def options(self) -> tuple[str, ...]:
        """The options of commands that name it."""
        store = () if isinstance(self.place, Path) else ("--store", self.place.conninfo)
        return ("--dir", str(self.directory), *store)


def in_sqlite(directory: Path) -> Earlier:
    """Make the registry in a new directory."""
    shutil.copytree(SAMPLE / "artifacts", directory / "artifacts")
    file = directory / "registry.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript((SAMPLE / "sqlite.sql").read_text())
    return Earlier(file, directory)


def in_postgresql(server: Server, directory: Path) -> Earlier:
    """Make the registry in a new database, and its artifacts in a new directory."""
    shutil.copytree(SAMPLE / "artifacts", directory / "artifacts")
    place = server.new_database()
    with psycopg.connect(place.conninfo) as connection:
        connection.execute((SAMPLE / "postgresql.sql").read_text().encode())
    return Earlier(place, directory)


def rows_of(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables of a registry that are there."""
    with reading(engine) as connection:
        there = {
            name for kind, name in dialect_of(engine).objects_of(connection) if kind == "table"
        }
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}")))  # noqa: S608 - our tables
            for name in there & metadata.tables.keys()
        }


def state_of(place: Place) -> object:
    """Return all rows and objects of a database, to be compared with those of another time."""
    with existing(place) as engine:
        with reading(engine) as connection:
            objects = dict(dialect_of(engine).objects_of(connection))
        return objects, rows_of(engine)
