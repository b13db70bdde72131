"""Certificates for Envoy: files of its own form, which follow those of the settings."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from understudy.runtime.front.envoy_config import CALLERS_SECRET, OWN_SECRET, EnvoySecrets
from understudy.runtime.transport.tls_files import FollowedFiles, TlsFiles, TlsMaterial

_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type
_LOOK_EVERY_S = 1.0

_log = structlog.get_logger()


def secret_files(read: TlsMaterial, secrets: EnvoySecrets) -> dict[str, str]:
    """Return the content of each file of `secrets`, by path."""
    certificate = {
        "certificate_chain": {"inline_string": _text(read.certificate)},
        "private_key": {"inline_string": _text(read.key)},
    }
    files = {secrets.own: _response(OWN_SECRET, tls_certificate=certificate)}
    if secrets.callers is not None:
        trusted = {"trusted_ca": {"inline_string": _text(read.ca)}}
        files[secrets.callers] = _response(CALLERS_SECRET, validation_context=trusted)
    return files


def write_secrets(read: TlsMaterial, secrets: EnvoySecrets) -> None:
    """Write certificates for Envoy, for our user alone.

    Raises:
        OSError: the folder cannot be written to.
    """
    for path, content in secret_files(read, secrets).items():
        new = Path(f"{path}.new")
        new.unlink(missing_ok=True)
        new.touch(0o600)
        new.write_text(content)
        os.replace(new, path)  # noqa: PTH105 - Envoy waits for a move


@asynccontextmanager
async def secrets_kept(files: TlsFiles, secrets: EnvoySecrets | None) -> AsyncIterator[None]:
    """Keep the files of `secrets` like `files` while the block runs; None for nothing to keep."""
    if secrets is None:
        yield
        return
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(_keep(files, secrets))
        yield
        keeping.cancel()


async def _keep(files: TlsFiles, secrets: EnvoySecrets) -> None:
    followed = FollowedFiles(files, None)
    unwritten: TlsMaterial | None = None
    while True:
        unwritten = followed.changed() or unwritten
        if unwritten is not None:
            try:
                write_secrets(unwritten, secrets)
                unwritten = None
            except OSError as error:  # tried again
                _log.error("certificates_not_written", why=str(error))
        await asyncio.sleep(_LOOK_EVERY_S)


def _response(name: str, **content: Any) -> str:
    secret = {"@type": _SECRET, "name": name, **content}
    return json.dumps({"version_info": "1", "resources": [secret]})


def _text(content: bytes | None) -> str:
    assert content is not None  # noqa: S101 - the settings demand it
    return content.decode()
