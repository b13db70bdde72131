"""Artifact files in a bucket of S3, or of a store that speaks its protocol.

The client, obstore, is an extra of the distribution: only the functions that use it import it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from registry.store.artifact_objects import PIECE_BYTES, STORE, is_object_name
from understudy.domain.errors import UnavailableError
from understudy.domain.store_urls import StoreUrl
from understudy.runtime.s3 import CallLimits, fault_line, open_bucket

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LIMITS = CallLimits(
    call=timedelta(seconds=900),  # a large file
    silence=timedelta(seconds=30),
    repeats=3,
    repeats_within=timedelta(seconds=30),
)
_PART_BYTES = 8 << 20
_PARTS_AT_ONCE = 4


def open_artifact_bucket(url: StoreUrl) -> "ObjectStore":
    """Return a client of the place of the artifacts; nothing is sent yet.

    Raises:
        InvalidInputError: as `open_bucket`.
    """
    return open_bucket(url, _LIMITS)


class BucketObjects:
    """The adapter of a client of obstore; see the port `Objects`."""

    def __init__(self, bucket: "ObjectStore") -> None:
        self._bucket = bucket

    def has(self, digest: str) -> bool:
        import obstore  # noqa: PLC0415 - an extra, see above

        try:
            with _translated():
                obstore.head(self._bucket, _key(digest))
        except FileNotFoundError:
            return False
        return True

    def stored(self) -> dict[str, int]:
        import obstore  # noqa: PLC0415 - as above

        with _translated(), _bucket_expected():
            found = [each for page in obstore.list(self._bucket, "sha256") for each in page]
        names = {each["path"].rpartition("/")[2]: each["size"] for each in found}
        return {name: size for name, size in names.items() if is_object_name(name)}

    def pieces(self, digest: str) -> Iterator[bytes]:
        import obstore  # noqa: PLC0415 - as above

        with _translated():
            answer = obstore.get(self._bucket, _key(digest))
            for chunk in answer.stream(min_chunk_size=PIECE_BYTES):
                whole = memoryview(chunk)
                for begin in range(0, len(whole), PIECE_BYTES):
                    yield bytes(whole[begin : begin + PIECE_BYTES])

    def add(self, digest: str, path: Path) -> None:
        """Send the file, a large one in parts; a bucket has an object whole, or not at all."""
        import obstore  # noqa: PLC0415 - as above

        with _translated(), _bucket_expected():
            obstore.put(
                self._bucket,
                _key(digest),
                path,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )

    def settle(self, digest: str) -> None:
        """Do nothing: an object that can be read is stored."""

    def lend(self, digest: str, path: Path) -> None:
        with path.open("xb") as new:
            new.writelines(self.pieces(digest))

    def remove(self, digest: str) -> None:
        import obstore  # noqa: PLC0415 - as above

        try:
            with _translated():
                obstore.delete(self._bucket, _key(digest))
        except FileNotFoundError:
            return  # other stores than S3 say so


def _key(digest: str) -> str:
    if not is_object_name(digest):
        raise ValueError(f"{digest} is no name of an object")
    return f"sha256/{digest[:2]}/{digest}"


@contextmanager
def _translated() -> Iterator[None]:
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra, see above

    try:
        yield
    except BaseError as error:
        raise UnavailableError(STORE, fault_line(error)) from error


@contextmanager
def _bucket_expected() -> Iterator[None]:
    """Raise an absence as a fault of the place: not an object is missing, but the bucket.

    Raises:
        UnavailableError: see above.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UnavailableError(STORE, f"the bucket is not there: {fault_line(error)}") from error
