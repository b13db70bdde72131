"""Artifact files in a bucket of S3, or of a store that speaks its protocol.

The client, obstore, is an extra of the distribution: only the functions that use it import it. It reads
the environment variables of AWS for all that a place does not name.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.store.artifact_objects import PIECE_BYTES, STORE, is_object_name
from understudy.domain.errors import Fault, InvalidInputError, UnavailableError
from understudy.runtime.secret_files import read_secret

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_URL = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[\w/.!*'()=-]*))?", re.ASCII
)
_SECRETS = {
    "AWS_ACCESS_KEY_ID_FILE": "access_key_id",
    "AWS_SECRET_ACCESS_KEY_FILE": "secret_access_key",
    "AWS_SESSION_TOKEN_FILE": "session_token",
}
_CONNECT_TIMEOUT = timedelta(seconds=5)
_SILENCE = timedelta(seconds=30)  # of a server in the middle of an answer
_LONGEST_REQUEST = timedelta(seconds=900)
_RETRIES = 3
_RETRY_TIME = timedelta(seconds=30)
_PART_BYTES = 8 << 20
_PARTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class S3Place:
    """A folder of a bucket."""

    bucket: str
    prefix: str  # without slashes at its ends; empty for the whole bucket


def s3_place(url: str, field: str) -> S3Place:
    """Return the place that a URL names.

    Raises:
        InvalidInputError: it names none; the text names `field`.
    """
    found = _URL.fullmatch(url)
    prefix = "" if found is None else (found["prefix"] or "").strip("/")
    if found is None or {"", ".", ".."} & ({*prefix.split("/")} if prefix else set()):
        raise InvalidInputError.of(field, read=url, accepted="s3://BUCKET or s3://BUCKET/PREFIX")
    return S3Place(found["bucket"], prefix)


def open_bucket(place: S3Place) -> "ObjectStore":
    """Return a client of the place; nothing is sent yet.

    Raises:
        InvalidInputError: a file of a secret cannot be read, or the environment has no acceptable
            configuration.
    """
    from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra, see above
    from obstore.store import S3Store  # noqa: PLC0415 - an extra, see above

    secrets: dict[str, Any] = {
        name: read_secret(Path(os.environ[variable]), variable=variable)
        for variable, name in _SECRETS.items()
        if os.environ.get(variable)
    }
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=secrets,  # type: ignore[arg-type] # keys of S3Config
            client_options={
                "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
                "connect_timeout": _CONNECT_TIMEOUT,
                "read_timeout": _SILENCE,
                "timeout": _LONGEST_REQUEST,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIME},
        )
    except (BaseError, ValueError) as error:
        accepted = "the variables of AWS as its tools read them"
        raise InvalidInputError([Fault("AWS_*", _first_line(error), accepted)]) from error


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
        raise UnavailableError(STORE, _first_line(error)) from error


@contextmanager
def _bucket_expected() -> Iterator[None]:
    """Raise an absence as a fault of the place: not an object is missing, but the bucket.

    Raises:
        UnavailableError: see above.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UnavailableError(STORE, f"the bucket is not there: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return the part of a client's text that names the fault, without its own trace."""
    return str(error).strip().partition("\n")[0][:300]
