"""The registry's database: transactions that read, and one at a time that writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, RootTransaction, event, inspect, select
from sqlalchemy.exc import DBAPIError

from registry.store import lineage, schema
from registry.store.dialects import dialect_of
from registry.store.ports import Dialect
from registry.store.postgresql import UPGRADING, PostgresqlPlace, postgresql_engine
from registry.store.sqlite import sqlite_engine
from understudy.domain.errors import InvalidInputError, RefusedError, UnavailableError

_DEPENDENCY = "registry database"
ResultT = TypeVar("ResultT")


def open_database(place: Path | PostgresqlPlace) -> Engine:
    """Return an engine for a file, or for a database of PostgreSQL, creating missing tables.

    Raises:
        UnavailableError: it cannot be opened, or is not a database.
        RefusedError: a registry with another schema wrote it, or it cannot keep what registries write.
    """
    engine = _engine_of(place)
    try:
        with _opening(engine) as connection:
            dialect_of(connection).create_missing(connection)
            _check_schema_version(connection)
            lineage.begin(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def require_empty(place: Path | PostgresqlPlace) -> None:
    """Return if the database has no table of a registry; a file need not exist.

    Raises:
        UnavailableError: it cannot be opened, or is not a database.
        RefusedError: it has one.
    """
    if isinstance(place, Path) and not place.exists():
        return
    engine = _engine_of(place)
    try:
        with reading(engine) as connection:
            _require_no_tables(connection)
    finally:
        engine.dispose()


def fill_database(place: Path | PostgresqlPlace, fill: Callable[[Connection], ResultT]) -> ResultT:
    """Create the tables in an empty database and let `fill` write their rows, in one transaction.

    Raises:
        UnavailableError: it cannot be opened or written.
        RefusedError: it is not empty, or cannot keep what registries write.
    """
    engine = _engine_of(place)
    try:
        with _opening(engine) as connection:
            _require_no_tables(connection)
            dialect_of(connection).create_missing(connection)
            return fill(connection)
    finally:
        engine.dispose()


@contextmanager
def writing(engine: Engine, *, changes_state: bool = True) -> Iterator[Connection]:
    """Open a transaction that may write; it holds the write lock from start to end.

    Args:
        engine: of the database.
        changes_state: False if watchers receive nothing new by it.

    Raises:
        UnavailableError: the database does not answer, or was upgraded since it was opened.
    """
    dialect = dialect_of(engine)
    with _begun(engine, dialect.begin_writing) as connection:
        yield connection
        dialect.finish_writing(connection, changes_state=changes_state)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a consistent view; never waits for a writer."""
    with _begun(engine, dialect_of(engine).begin_reading) as connection:
        yield connection


@contextmanager
def existing(place: Path | PostgresqlPlace) -> Iterator[Engine]:
    """Open a registry's database of any schema, to upgrade it; nothing is created.

    Raises:
        InvalidInputError: no registry has written a database there.
        UnavailableError: it cannot be opened, or is not a database.
    """
    if isinstance(place, Path):
        if not place.exists():
            raise _no_database(str(place))
        engine = _engine_of(place)
    else:
        engine = _engine_of(replace(place, application=UPGRADING))
    try:
        yield engine
    finally:
        engine.dispose()


def found_schema(connection: Connection) -> int:
    """Return the number of the database's schema.

    Raises:
        InvalidInputError: no registry has written the database.
    """
    is_there = inspect(connection).has_table(schema.settings.name)
    found = _schema_number(connection) if is_there else None
    if found is None:
        raise _no_database("a database without tables of a registry")
    return found


@contextmanager
def upgrading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that may change the schema; it holds the write lock from start to end.

    Raises:
        RefusedError: a registry serves from the database.
    """
    dialect = dialect_of(engine)
    with _begun(engine, dialect.begin_upgrading) as connection:
        dialect.require_alone(connection)
        yield connection
        dialect.finish_writing(connection, changes_state=True)


@contextmanager
def owning_files(engine: Engine) -> Iterator[None]:
    """Let no other registry over the database store or collect artifact files meanwhile."""
    with _begun(engine, dialect_of(engine).begin_owning_files):
        yield


@contextmanager
def _opening(engine: Engine) -> Iterator[Connection]:
    dialect = dialect_of(engine)
    with _begun(engine, dialect.begin_opening) as connection:
        yield connection
        dialect.finish_writing(connection, changes_state=True)


@contextmanager
def _begun(engine: Engine, begin: str) -> Iterator[Connection]:
    with _translated(dialect_of(engine)):
        try:
            transaction = _begin(engine, begin)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            # It was open before a restart of the server. The engine has dropped all such connections.
            transaction = _begin(engine, begin)
        with transaction.connection as connection, transaction:
            yield connection


def _begin(engine: Engine, begin: str) -> RootTransaction:
    connection = engine.connect().execution_options(begin=begin)
    try:
        return connection.begin()
    except BaseException:
        connection.close()
        raise


def _engine_of(place: Path | PostgresqlPlace) -> Engine:
    engine = sqlite_engine(place) if isinstance(place, Path) else postgresql_engine(place)
    event.listen(engine, "begin", _send_begin)
    return engine


def _no_database(read: str) -> InvalidInputError:
    return InvalidInputError.of("database", read=read, accepted="one that a registry has written")


def _require_no_tables(connection: Connection) -> None:
    if found := sorted({*inspect(connection).get_table_names()} & schema.metadata.tables.keys()):
        raise RefusedError(
            f"the database has tables of a registry ({', '.join(found[:3])}, …); accepted: an empty one"
        )


def _check_schema_version(connection: Connection) -> None:
    found = _schema_number(connection)
    if found is None:
        connection.execute(
            schema.settings.insert().values(name="schema_version", value=schema.SCHEMA_VERSION)
        )
    elif (refusal := schema.SCHEMAS.refusal_to_serve(found)) is not None:
        raise RefusedError(refusal)


def _schema_number(connection: Connection) -> int | None:
    table = schema.settings
    return connection.execute(
        select(table.c.value).where(table.c.name == "schema_version")
    ).scalar_one_or_none()


def _send_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get("begin", dialect_of(connection).begin_reading))


@contextmanager
def _translated(dialect: Dialect) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if dialect.is_fault_of_ours(error):
            raise  # a violated constraint is a bug of ours
        raise UnavailableError(_DEPENDENCY, str(error.orig)) from error
