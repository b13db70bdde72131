"""The place of the registry's database, as settings name it."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from registry.store.postgresql import PostgresqlPlace
from understudy.domain.errors import InvalidInputError

_FILE = "registry.sqlite"
_SQLITE, _POSTGRESQL = "sqlite:", ("postgresql://", "postgres://")
ACCEPTED = "sqlite:DIRECTORY, or postgresql://… as libpq reads it, without a password"


def database_place(
    store: str | None, directory: Path, password: str | None
) -> Path | PostgresqlPlace:
    """Return the file of SQLite, or the place of PostgreSQL.

    Args:
        store: `sqlite:DIRECTORY` or a URL of PostgreSQL; None for SQLite in `directory`.
        directory: of the registry.
        password: of PostgreSQL; None if libpq finds one, or needs none.

    Raises:
        InvalidInputError: it is neither, or a password would not act or would be seen.
    """
    if store is not None and store.startswith(_POSTGRESQL):
        if _has_password(store):
            accepted = (
                "a URL without one: give it by store_password, or by a password file of libpq"
            )
            raise InvalidInputError.of("store", read="a URL with a password", accepted=accepted)
        return PostgresqlPlace(store, password)
    if password is not None:
        raise InvalidInputError.of(
            "store_password", read="a secret", accepted="none: SQLite has no passwords"
        )
    if store is None:
        return directory / _FILE
    folder = store.removeprefix(_SQLITE)
    if folder == store or not folder:
        raise InvalidInputError.of("store", read=store, accepted=ACCEPTED)
    return Path(folder) / _FILE


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return parts.password is not None or "password" in parse_qs(parts.query)
