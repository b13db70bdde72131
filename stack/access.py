"""The access that the processes of a stack have to each other, made by the stack itself.

The authority signs one certificate each for the registry and the scorer host, and is gone: its key is
never written. Tokens are kept, so that callers who were given one stay known.
"""

import getpass
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import trustme

from understudy.control.access import CA_FILE, TOKEN_FILE, access_in, access_of_environment
from understudy.control.identities_file import read_identities, write_identities
from understudy.control.known_registries import made_known
from understudy.domain.errors import InvalidInputError
from understudy.domain.identities import Identity, Role, Token
from understudy.runtime.secret_files import read_secret, write_secret
from understudy.runtime.transport.settings import environment_of
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import LOCAL, Transport

IDENTITIES_FILE = "identities.json"
_DECIDED_BY = re.compile(
    r"(REGISTRY|SCORER_HOST|ROUTER)_(TLS_|TOKEN)|REGISTRY_(IDENTITIES|UNPROVEN)$"
)
_HERE = ("localhost", "127.0.0.1", "::1")
_HOST_ID = "SCORER_HOST_HOST_ID"
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class StackAccess:
    """The access of each part of a stack.

    Attributes:
        registry, scorers, router: the variables of the process, in addition to those that it inherits.
        operator: that of commands and of the stack itself to the registry.
        tls_health: the transport to processes with a certificate, to ask for their health.
        router_health: the same for the router.
        is_own: False if the environment decides, for processes and for commands.
    """

    registry: Mapping[str, str] = field(default_factory=dict)
    scorers: Mapping[str, str] = field(default_factory=dict)
    router: Mapping[str, str] = field(default_factory=dict)
    operator: Transport = LOCAL
    tls_health: Transport = LOCAL
    router_health: Transport = LOCAL
    is_own: bool = False


def prepare_access(
    folder: Path, registry_address: str, environment: Mapping[str, str]
) -> StackAccess:
    """Write the certificates, tokens and identities of a stack to `folder`, and return its access.

    If `environment`, which the processes inherit, decides about certificates, tokens or
    identities, nothing is written: all access is that of the environment.

    Raises:
        InvalidInputError: the file of identities, a token or the environment is not acceptable.
    """
    if any(_DECIDED_BY.match(name) for name in environment):
        operator = access_of_environment(registry_address)
        health = replace(operator, token="")
        return StackAccess(operator=operator, tls_health=health, router_health=health)
    host_id = environment.get(_HOST_ID, "stack-host")
    tokens = {name: folder / f"{name}-token" for name in ("host", "router")}
    _know(
        folder / IDENTITIES_FILE,
        Identity(_own_name(), frozenset({Role.ADMIN}), (_token(folder / TOKEN_FILE),)),
        Identity(host_id, frozenset({Role.HOST}), (_token(tokens["host"]),)),
        Identity("stack-router", frozenset({Role.ROUTER}), (_token(tokens["router"]),)),
    )
    authority = trustme.CA(organization_name="understudy", organization_unit_name="throw-away")
    write_secret(folder / CA_FILE, authority.cert_pem.bytes())
    ca = TlsFiles(ca=folder / CA_FILE)
    registry = _issue(authority, folder, "registry", _host_of(registry_address))
    scorers = _issue(authority, folder, "host", host_id, *_scorer_hosts(environment))
    operator = access_in(folder)
    return StackAccess(
        registry={
            **environment_of(Transport(replace(registry, ca=None)), prefix="REGISTRY_"),
            "REGISTRY_IDENTITIES": str((folder / IDENTITIES_FILE).resolve()),
        },
        scorers={
            **environment_of(Transport(scorers), prefix="SCORER_HOST_"),
            "SCORER_HOST_TOKEN_FILE": str(tokens["host"].resolve()),
            _HOST_ID: host_id,
        },
        router={
            **environment_of(Transport(ca), prefix="ROUTER_"),
            "ROUTER_TOKEN_FILE": str(tokens["router"].resolve()),
        },
        operator=operator,
        tls_health=replace(operator, token=""),
        is_own=True,
    )


@contextmanager
def access_for_commands(
    access: StackAccess, registry_address: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[bool]:
    """Let commands of this user find the stack's own access in `folder` during the block.

    Yields False if they cannot find it. If the environment decides, it does so for them as well.
    """
    if not access.is_own:
        yield True
        return
    with made_known(registry_address, folder, environment) as is_known:
        yield is_known


def _know(path: Path, *own: Identity) -> None:
    """Enter the stack's own callers into the file; others that are known there stay."""
    names, tokens = {each.name for each in own}, {token for each in own for token in each.tokens}
    known = read_identities(path).all if path.exists() else ()
    others = (each for each in known if each.name not in names and not tokens & {*each.tokens})
    entered = (*own, *others)
    if entered != known:
        write_identities(path, entered)


def _token(path: Path) -> Token:
    """Return the digest of the token in the file, which is made if it is not there."""
    if not path.exists():
        write_secret(path, f"{secrets.token_urlsafe(_TOKEN_BYTES)}\n".encode())
    return Token(sha256(read_secret(path, variable=path.name).encode()).hexdigest())


def _issue(authority: trustme.CA, folder: Path, name: str, *hosts: str) -> TlsFiles:
    try:
        issued = authority.issue_cert(*dict.fromkeys((*_HERE, *hosts)), common_name=hosts[0])
    except UnicodeError as error:  # of a name that is none of the DNS
        accepted = "names of hosts, and addresses: a certificate is made for them"
        raise InvalidInputError.of(name, read=", ".join(hosts), accepted=accepted) from error
    files = TlsFiles(
        folder / f"{name}-certificate.pem", folder / f"{name}-key.pem", folder / CA_FILE
    )
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    for path, content in ((files.certificate, chain), (files.key, issued.private_key_pem.bytes())):
        assert path is not None  # noqa: S101 - set above
        write_secret(path, content)
    return files


def _scorer_hosts(environment: Mapping[str, str]) -> tuple[str, ...]:
    address = environment.get("SCORER_HOST_SCORER_ADDRESS", "unix")
    return () if address == "unix" else (address.strip("[]"),)


def _host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or "localhost"


def _own_name() -> str:
    """Return the name of the stack's admin: the user and the machine, as in claims, or `admin`."""
    name = f"{getpass.getuser()}@{os.uname().nodename}"
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,199}", name) else "admin"
