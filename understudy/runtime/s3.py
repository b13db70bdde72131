"""Clients of S3, and of stores that speak its protocol.

Credentials, region and endpoint come from the environment, by the names of Amazon's tools; secrets also from
files. The library, obstore, is an extra of the distribution: only the functions that use it import it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.store_urls import StoreUrl
from understudy.runtime.secret_files import read_secret

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Store

_CONNECT_LIMIT = timedelta(seconds=5)
_SECRETS: tuple[tuple[str, Literal["access_key_id", "secret_access_key", "session_token"]], ...] = (
    ("AWS_ACCESS_KEY_ID_FILE", "access_key_id"),
    ("AWS_SECRET_ACCESS_KEY_FILE", "secret_access_key"),
    ("AWS_SESSION_TOKEN_FILE", "session_token"),
)
_MOST_FAULT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The patience of a client."""

    call: timedelta  # a request with its answer
    silence: timedelta | None = None  # of a server in the middle of an answer; None: as `call`
    repeats: int = 0
    repeats_within: timedelta = timedelta()  # from the first request on


@contextmanager
def installed(url: StoreUrl) -> Iterator[None]:
    """Import the library in the block.

    Raises:
        InvalidInputError: it is not installed.
    """
    try:
        yield
    except ImportError as error:
        accepted = "a store, if understudy-serving[s3] is installed"
        raise InvalidInputError.of("object store", read=str(url), accepted=accepted) from error


def open_bucket(url: StoreUrl, limits: CallLimits) -> "S3Store":
    """Return a client of the bucket and prefix of a URL; nothing is sent yet.

    Raises:
        InvalidInputError: the library is not installed, a file of a secret cannot be read, or the
            environment has no acceptable configuration.
    """
    with installed(url):
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra, see above
        from obstore.store import S3Store  # noqa: PLC0415 - an extra, see above

    secrets: S3Config = {}
    for variable, name in _SECRETS:
        if os.environ.get(variable):
            secrets[name] = read_secret(Path(os.environ[variable]), variable=variable)
    options: ClientConfig = {
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true",
        "connect_timeout": _CONNECT_LIMIT,
        "timeout": limits.call,
    }
    if limits.silence is not None:
        options["read_timeout"] = limits.silence
    try:
        return S3Store(
            url.bucket,
            prefix=url.prefix or None,
            config=secrets,
            client_options=options,
            retry_config={"max_retries": limits.repeats, "retry_timeout": limits.repeats_within},
        )
    except (BaseError, ValueError) as error:
        accepted = "the variables of AWS as its tools read them"
        raise InvalidInputError([Fault("AWS_*", fault_line(error), accepted)]) from error


def fault_line(error: Exception) -> str:
    """Return the part of a client's text that names the fault, without its own trace."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:_MOST_FAULT_CHARACTERS]
