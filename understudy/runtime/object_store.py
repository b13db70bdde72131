"""An object store as the processes use it: an S3 bucket, or a folder in place of one.

Every call has a limit in time, and none is repeated here: the caller knows when it is worth it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from understudy.domain.errors import NotFoundError, UnavailableError
from understudy.domain.store_urls import StoreUrl
from understudy.runtime.s3 import CallLimits, fault_line, installed, open_bucket

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

_LIMITS = CallLimits(call=timedelta(seconds=60))


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
            InvalidInputError: as `open_bucket`.
            UnavailableError: the folder cannot be created.
        """
        if url.bucket:
            return cls(url, open_bucket(url, _LIMITS))
        return cls(url, _open_folder(url))

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

    def read_part(self, stored: StoredObject, start: int, length: int) -> bytes:
        """Return some bytes of an object as it was listed.

        Raises:
            NotFoundError: there is none, or another one has taken its place.
            UnavailableError: the store does not answer, or refuses.
        """
        import obstore  # noqa: PLC0415 - an extra
        from obstore.exceptions import PreconditionError  # noqa: PLC0415 - an extra

        with _own_errors(self.url, stored.key):
            try:
                found = obstore.get(
                    self._bucket,
                    stored.key,
                    options={
                        "range": (start, start + length),
                        "if_match": f'"{stored.e_tag}"',
                    },
                )
                return bytes(found.bytes())
            except PreconditionError as error:
                raise NotFoundError("object", f"{self.url}/{stored.key}, as it was") from error

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


def _open_folder(url: StoreUrl) -> "Bucket":
    with installed(url):
        from obstore.store import LocalStore  # noqa: PLC0415 - an extra

    with _own_errors(url, ""):
        return LocalStore(url.prefix, mkdir=True)


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
        raise UnavailableError(f"object store {place}", fault_line(error)) from error
