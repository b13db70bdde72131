"""Settings of the place in which a registry stores everything: its database and its artifacts."""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from registry.store.artifacts import ArtifactStore
from registry.store.places import database_place
from registry.store.postgresql import PostgresqlPlace
from registry.store.s3_objects import BucketObjects, open_artifact_bucket
from understudy.domain.errors import InvalidInputError
from understudy.domain.store_urls import StoreUrl, parse_bucket_url
from understudy.runtime.settings import ProcessSettings

_ARTIFACTS_DIRECTORY = "artifacts"


class StorageSettings(ProcessSettings):
    """Environment: `REGISTRY_` and the name in capitals; other variables of a registry are left alone."""

    checked_prefixes: ClassVar[tuple[str, ...]] = (
        "REGISTRY_ARTIFACTS",
        "REGISTRY_DIR",
        "REGISTRY_STORE",
    )

    model_config = SettingsConfigDict(env_prefix="REGISTRY_")

    dir: Path  # artifacts, uploads in progress, and the database of SQLite
    store: str | None = None  # sqlite:DIRECTORY or postgresql://…; None: SQLite in `dir`
    store_password: SecretStr | None = None  # of PostgreSQL
    artifacts: str | None = None  # s3://BUCKET/PREFIX; None: a folder in `dir`

    @property
    def database(self) -> Path | PostgresqlPlace:
        """The place of the database."""
        password = self.store_password
        return database_place(
            self.store, self.dir, None if password is None else password.get_secret_value()
        )

    @property
    def bucket(self) -> StoreUrl | None:
        """The place of the artifacts in S3; None: a folder in `dir`."""
        url = self.artifacts
        return None if url is None else parse_bucket_url(url, field="artifacts")

    def open_artifacts(self) -> ArtifactStore:
        """Open the store of the artifacts; uploads in progress are in `dir`.

        Raises:
            InvalidInputError: the configuration of S3 in the environment cannot be used.
            UnavailableError: the folder cannot be made.
        """
        place = self.bucket
        objects = None if place is None else BucketObjects(open_artifact_bucket(place))
        return ArtifactStore(self.dir / _ARTIFACTS_DIRECTORY, objects)

    @model_validator(mode="after")
    def _artifacts_can_be_reached(self) -> Self:
        try:
            place = self.bucket
        except InvalidInputError as error:
            raise ValueError(str(error)) from error
        if place is not None and find_spec("obstore") is None:
            raise ValueError("artifacts: S3 needs the extra `s3` of understudy-serving")
        return self

    @model_validator(mode="after")
    def _store_can_be_used(self) -> Self:
        try:
            place = self.database
        except InvalidInputError as error:
            raise ValueError(str(error)) from error
        if not isinstance(place, Path) and find_spec("psycopg") is None:
            raise ValueError("store: PostgreSQL needs the extra `postgresql` of understudy-serving")
        return self
