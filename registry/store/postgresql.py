"""PostgreSQL as the registry's database: several registries serve from it, one writer at a time.

The driver, psycopg, is an extra of the distribution: only the functions that connect import it.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import DDL, Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from registry.store.ports import Named
from registry.store.postgresql_objects import (
    WRITTEN_ONCE_FUNCTION,
    expected_objects,
    found_objects,
    triggers_of,
)
from registry.store.schema import SCHEMA_VERSION, WRITTEN_ONCE, metadata, settings
from registry.store.shared_schema import CHANNEL, shared_metadata, shared_state
from understudy.domain.errors import RefusedError, UnavailableError

if TYPE_CHECKING:
    import psycopg

SERVING, UPGRADING = "understudy-registry", "understudy-registry-upgrade"  # names of applications
_CONNECT_TIMEOUT_S = 5
_LOST_PEER_MS = 10_000  # after which an unanswered packet ends a connection
_WRITE_LOCK, _FILES_LOCK = 0x756E64657273, 0x756E64657274  # keys of advisory locks
_WAIT_FOR_LOCK_S = 5
_COUNT_CHANGE = f"UPDATE {shared_state.name} SET changes = changes + 1; "  # noqa: S608 - our table
# A registry that was cut off during an upgrade, and is back, writes nothing. No trip of its own.
_EXPECT_SCHEMA = f"""DO $$ BEGIN
  IF (SELECT value FROM {settings.name} WHERE name = 'schema_version') <> {SCHEMA_VERSION} THEN
    RAISE EXCEPTION 'it was upgraded, and has schema {SCHEMA_VERSION} no longer';
  END IF;
END $$"""  # noqa: S608 - our table
_REGISTRIES = (
    "SELECT coalesce(host(client_addr), 'a local socket') FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = %s"
)
_LONGEST_PAUSE_S = 30  # of a writer within its transaction: one that was suspended frees the lock


@dataclass(frozen=True, slots=True)
class PostgresqlPlace:
    """A database as libpq finds it."""

    conninfo: str  # a URL or key=value pairs, without a password
    password: str | None = field(default=None, repr=False)  # None: libpq's files, or none
    application: str = SERVING  # by which others see its connections

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a connection beside the URL."""
        given: dict[str, Any] = {
            "application_name": self.application,
            "client_encoding": "UTF8",
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "tcp_user_timeout": _LOST_PEER_MS,
        }
        return given if self.password is None else {**given, "password": self.password}


def postgresql_engine(place: PostgresqlPlace) -> Engine:
    """Return an engine for the database; nothing is opened yet."""
    import psycopg  # noqa: PLC0415 - an extra, see above

    return create_engine(
        "postgresql+psycopg://",
        # The driver begins no transaction by itself: the adapter's BEGIN is one trip to the server.
        creator=lambda: psycopg.connect(place.conninfo, autocommit=True, **place.parameters()),
        pool_size=8,
        max_overflow=8,
    )


@asynccontextmanager
async def changes_told(place: PostgresqlPlace) -> AsyncIterator["Bell"]:
    """Listen to the changes that registries make in the database.

    Raises:
        UnavailableError: the database does not answer.
    """
    import psycopg  # noqa: PLC0415 - an extra, see above

    try:
        connection = await psycopg.AsyncConnection.connect(
            place.conninfo, autocommit=True, **place.parameters()
        )
    except psycopg.Error as error:
        raise UnavailableError("registry database", str(error)) from error
    async with connection:
        await connection.execute(f"LISTEN {CHANNEL}")
        yield Bell(connection)


@dataclass(frozen=True, slots=True)
class Bell:
    """Rings when a registry has changed the database."""

    connection: "psycopg.AsyncConnection[Any]"

    async def heard(self, *, timeout_s: float) -> None:
        """Wait for a change, at most so long; several changes at once are one.

        Raises:
            UnavailableError: the connection was lost.
        """
        import psycopg  # noqa: PLC0415 - an extra, see above

        try:
            async for _ in self.connection.notifies(timeout=timeout_s, stop_after=1):
                pass
        except psycopg.Error as error:
            raise UnavailableError("registry database", str(error)) from error


class Postgresql:
    """The adapter; see the port."""

    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    # Not repeatable: its view would be older than the lock that it waits for.
    begin_opening = (
        "BEGIN ISOLATION LEVEL READ COMMITTED; "
        f"SET LOCAL lock_timeout = '{_WAIT_FOR_LOCK_S}s'; "
        f"SET LOCAL idle_in_transaction_session_timeout = '{_LONGEST_PAUSE_S}s'; "
        f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"
    )
    begin_writing = f"{begin_opening}; {_EXPECT_SCHEMA}"
    begin_owning_files = (
        "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
        f"SELECT pg_advisory_xact_lock({_FILES_LOCK})"
    )
    begin_upgrading = f"{begin_opening}; SET LOCAL idle_in_transaction_session_timeout = 0"

    def require_alone(self, connection: Connection) -> None:
        """Return if no registry of any build is connected.

        Raises:
            RefusedError: one is.
        """
        addresses = connection.exec_driver_sql(_REGISTRIES, (SERVING,)).scalars().all()
        if addresses:
            listed = ", ".join(sorted({*addresses}))
            raise RefusedError(
                f"registries have {len(addresses)} connections to the database, from {listed}; "
                "accepted: none, so that no other registry meets a schema that it does not know"
            )

    def create_missing(self, connection: Connection) -> None:
        """Create the tables, those of several instances too.

        Raises:
            RefusedError: the database cannot keep what registries write.
        """
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise RefusedError(f"the database has encoding {encoding}; create one with UTF8")
        metadata.create_all(connection)
        shared_metadata.create_all(connection)
        first = insert(shared_state).values(place=1, changes=0)
        connection.execute(first.on_conflict_do_nothing())

    def finish_writing(self, connection: Connection, *, changes_state: bool) -> None:
        connection.exec_driver_sql(f"{_COUNT_CHANGE if changes_state else ''}NOTIFY {CHANNEL}")

    def insert(self, table: Table) -> Insert:
        return insert(table)

    def identity_of(self, connection: Connection) -> str:
        """Return a text that another cluster, and one that was recovered to a time, does not have."""
        query = (
            "SELECT system_identifier || ':' || timeline_id || ':' || oid "
            "FROM pg_control_system(), pg_control_checkpoint(), pg_database "
            "WHERE datname = current_database()"
        )
        return str(connection.exec_driver_sql(query).scalar_one())

    def objects_of(self, connection: Connection) -> Mapping[Named, str]:
        return found_objects(connection)

    def expected_objects(self) -> Mapping[Named, str]:
        return expected_objects()

    @contextmanager
    def any_text(self, connection: Connection) -> Iterator[None]:  # noqa: ARG002 - the port's
        """Change nothing: a database in UTF8 has no other text."""
        yield

    def is_fault_of_ours(self, error: DBAPIError) -> bool:
        return isinstance(error, IntegrityError | DataError)


for _table in WRITTEN_ONCE:
    for _statement in (WRITTEN_ONCE_FUNCTION, *triggers_of(_table).values()):
        event.listen(
            _table,
            "after_create",
            DDL(_statement).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call] # untyped in SQLAlchemy
        )
