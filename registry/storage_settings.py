"""Settings of the place in which a registry stores everything: its database and its artifacts."""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from registry.store.places import database_place
from registry.store.postgresql import PostgresqlPlace
from understudy.domain.errors import InvalidInputError
from understudy.runtime.settings import ProcessSettings

_ARTIFACTS_DIRECTORY = "artifacts"


class StorageSettings(ProcessSettings):
    """Environment: `REGISTRY_` and the name in capitals; other variables of a registry are left alone."""

    checked_prefixes: ClassVar[tuple[str, ...]] = ("REGISTRY_DIR", "REGISTRY_STORE")

    model_config = SettingsConfigDict(env_prefix="REGISTRY_")

    dir: Path  # artifacts, and the database of SQLite
    store: str | None = None  # sqlite:DIRECTORY or postgresql://…; None: SQLite in `dir`
    store_password: SecretStr | None = None  # of PostgreSQL

    @property
    def database(self) -> Path | PostgresqlPlace:
        """The place of the database."""
        password = self.store_password
        return database_place(
            self.store, self.dir, None if password is None else password.get_secret_value()
        )

    @property
    def artifacts_directory(self) -> Path:
        """The folder of the artifacts."""
        return self.dir / _ARTIFACTS_DIRECTORY

    @model_validator(mode="after")
    def _store_can_be_used(self) -> Self:
        try:
            place = self.database
        except InvalidInputError as error:
            raise ValueError(str(error)) from error
        if not isinstance(place, Path) and find_spec("psycopg") is None:
            raise ValueError("store: PostgreSQL needs the extra `postgresql` of understudy-serving")
        return self
