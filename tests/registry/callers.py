"""A registry that believes no name without proof, and callers who have one."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc

from registry.app import OpenRegistry, open_registry
from registry.settings import RegistrySettings
from tests.runtime.transport.authorities import Authority
from understudy.domain.identities import Role
from understudy.runtime.health import Health
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import Transport

HOST = "localhost"


def token_of(name: str) -> str:
    return f"the token of {name}"


def entry(name: str, *roles: Role, token: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return an entry of the file for a caller with `token_of(token)`, by default of its name."""
    digest = sha256(token_of(token or name).encode()).hexdigest()
    return {"name": name, "roles": list(roles), "tokens": [{"sha256": digest}], **fields}


def write_identities(path: Path, entries: list[dict[str, Any]]) -> None:
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps({"format": 1, "identities": entries}))
    new.replace(path)


@dataclass(frozen=True)
class ProvenRegistry:
    """A served registry with TLS and a file of identities."""

    target: str
    authority: Authority
    identities: Path
    opened: OpenRegistry

    @property
    def trust(self) -> Transport:
        """The transport of a caller without a name."""
        return Transport(TlsFiles(ca=self.authority.ca_file))

    def open(self, token: str | None = None, names: tuple[str, ...] = ()) -> grpc.aio.Channel:
        """Open a channel by a token, or with a certificate for `names`."""
        files = self.authority.files_of(*names, folder=names[0]) if names else self.trust.files
        return self.open_by(files, token)

    def open_by(self, files: TlsFiles, token: str | None = None) -> grpc.aio.Channel:
        transport = replace(self.trust, files=files, token=token or "")
        return transport.open_channel(self.target, [("grpc.use_local_subchannel_pool", 1)])


@asynccontextmanager
async def proven_registry(
    directory: Path, entries: list[dict[str, Any]], *, asks_callers: bool = False
) -> AsyncIterator[ProvenRegistry]:
    authority = Authority(directory / "authority")
    own = authority.files_of(HOST, folder="registry")
    identities = directory / "identities.json"
    write_identities(identities, entries)
    settings: Mapping[str, Any] = {
        "dir": directory / "registry",
        "listen": "127.0.0.1:0",
        "identities": identities,
        "tls_certificate": own.certificate,
        "tls_key": own.key,
        "tls_ca": own.ca,
        "tls_callers": asks_callers,
        "drain_grace_s": 0.2,
    }
    async with open_registry(RegistrySettings(**settings)) as opened:
        await opened.server.start()
        opened.health.turn(Health.SERVING)
        try:
            yield ProvenRegistry(f"{HOST}:{opened.port}", authority, identities, opened)
        finally:
            opened.watchers.close()
            await opened.server.stop(0.2)
