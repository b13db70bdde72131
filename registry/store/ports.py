"""The store's port: the parts that each kind of database does in its own way.

All other statements are SQLAlchemy's, the same for every database. Functions with a connection run in
its transaction.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

Named = tuple[str, str]  # kind and name of an object of the database


class Dialect(Protocol):
    """One kind of database."""

    @property
    def begin_reading(self) -> str:
        """The statement that begins a transaction with one consistent view; it waits for no writer."""
        ...

    @property
    def begin_writing(self) -> str:
        """The statements that begin a transaction which holds the write lock from start to end.

        They fail if the database was upgraded to another schema since it was opened.
        """
        ...

    @property
    def begin_opening(self) -> str:
        """The same for a database of any schema, or without tables."""
        ...

    @property
    def begin_owning_files(self) -> str:
        """The statements that begin a transaction which keeps other processes from the stored files."""
        ...

    @property
    def begin_upgrading(self) -> str:
        """The same as for an opening, of a transaction that may last."""
        ...

    def require_alone(self, connection: Connection) -> None:
        """Return if no other process serves from the database.

        Raises:
            RefusedError: one is connected.
        """
        ...

    def create_missing(self, connection: Connection) -> None:
        """Create the tables that are missing, with the triggers that refuse changes of their rows."""
        ...

    def finish_writing(self, connection: Connection, *, changes_state: bool) -> None:
        """Tell other processes that use the database of the change, once it is committed.

        Args:
            connection: of the transaction.
            changes_state: whether the state of watchers has changed.
        """
        ...

    def insert(self, table: Table) -> Any:
        """Return SQLAlchemy's insert for this database, which knows `on_conflict_do_update` and its like."""
        ...

    def identity_of(self, connection: Connection) -> str:
        """Return a text that a copy of the database does not have."""
        ...

    def objects_of(self, connection: Connection) -> Mapping[Named, str]:
        """Return the definitions of the tables and triggers of the database."""
        ...

    def expected_objects(self) -> Mapping[Named, str]:
        """Return the definitions that `objects_of` finds in a database as this registry makes it."""
        ...

    def any_text(self, connection: Connection) -> AbstractContextManager[None]:
        """Let statements in the block read text that is not UTF-8, with surrogates."""
        ...

    def is_fault_of_ours(self, error: DBAPIError) -> bool:
        """Return whether an error is a bug: a violated constraint, and not a database that is away."""
        ...
