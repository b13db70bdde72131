"""An object store as the processes use it: an S3 bucket, or a folder in place of one.

Credentials, region and endpoint of S3 come from the environment, by the names of Amazon's tools. Every call has a
limit in time, and none is repeated here: the caller knows when it is worth it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from understudy.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from understudy.domain.store_urls import StoreUrl
from understudy.runtime.secret_files import read_secret

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket
    from obstore.store import S3Config

_CONNECT_LIMIT, _CALL_LIMIT = "5s", "60s"
_SECRETS: tuple[tuple[str, Literal["access_key_id", "secret_access_key", "session_token"]], ...] = (
    ("AWS_ACCESS_KEY_ID_FILE", "access_key_id"),
    ("AWS_SECRET_ACCESS_KEY_FILE", "secret_access_key"),
    ("AWS_SESSION_TOKEN_FILE", "session_token"),
)
_MOST_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store lists it."""

    key: str  # below the store's prefix
    size_bytes: int
    e_tag: str  # the MD5 of the content in most stores, for objects that were sent in one piece


class ObjectStore:
    """The objects below one URL."""

    def __init__(self, url: StoreUrl, bucket: "Bucket") -> None:
        """Use `open`, which knows the store of a URL."""
        self.url = url
        self._bucket = bucket

    @classmethod
    def open(cls, url: StoreUrl) -> Self:
        """Return the store of a URL; a missing folder is created, a missing bucket found with the first call.

        Raises:
            InvalidInputError: the library of the extra `s3` is not installed, or the environment has no
                acceptable configuration for it.
            UnavailableError: the folder cannot be created.
        """
        try:
            from obstore.store import LocalStore, S3Store  # noqa: PLC0415 - an extra
        except ImportError as error:
            accepted = "a store, if understudy-serving[s3] is installed"
            raise InvalidInputError.of("object store", read=str(url), accepted=accepted) from error
        with _own_errors(url, ""):
            if not url.bucket:
                return cls(url, LocalStore(url.prefix, mkdir=True))
            config: S3Config = {}
            for variable, name in _SECRETS:
                if os.environ.get(variable):
                    config[name] = read_secret(Path(os.environ[variable]), variable=variable)
            bucket = S3Store(
                url.bucket,
                prefix=url.prefix or None,
                config=config,
                client_options={
                    "timeout": _CALL_LIMIT,
                    "connect_timeout": _CONNECT_LIMIT,
                    "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
                },
                retry_config={"max_retries": 0},
            )
            return cls(url, bucket)

    def listed(self, folder: str) -> Iterator[StoredObject]:
        """Yield the objects below a folder of keys.

        Raises:
            UnavailableError: the store does not answer, or refuses.
        """
        import obstore  # noqa: PLC0415 - an extra

        with _own_errors(self.url, folder):
            for page in obstore.list(self._bucket, prefix=folder):
                for each in page:
                    yield StoredObject(each["path"], each["size"], _bare(each["e_tag"]))

    def put(self, key: str, content: bytes) -> str:
        """Store an object, or replace it, and return its entity tag; readers see all of it or none.

        Raises:
            UnavailableError: the store does not answer, or refuses.
        """
        import obstore  # noqa: PLC0415 - an extra

        with _own_errors(self.url, key):
            return _bare(obstore.put(self._bucket, key, content, use_multipart=False)["e_tag"])

    def read(self, key: str) -> bytes:
        """Return the content of an object.

        Raises:
            NotFoundError: there is none.
            UnavailableError: the store does not answer, or refuses.
        """
        import obstore  # noqa: PLC0415 - an extra

        with _own_errors(self.url, key):
            return bytes(obstore.get(self._bucket, key).bytes())

    def remove(self, key: str) -> None:
        """Remove an object, if it is there.

        Raises:
            UnavailableError: the store does not answer, or refuses.
        """
        import obstore  # noqa: PLC0415 - an extra

        try:
            with _own_errors(self.url, key):
                obstore.delete(self._bucket, key)
        except NotFoundError:
            pass


def _bare(e_tag: str | None) -> str:
    return (e_tag or "").strip('"')


@contextmanager
def _own_errors(url: StoreUrl, key: str) -> Iterator[None]:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra

    place = f"{url}/{key}" if key else str(url)
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError("object", place) from error
    except (BaseError, OSError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnavailableError(
            f"object store {place}", first_line[:_MOST_ERROR_CHARACTERS]
        ) from error
