"""The names that callers can prove, and their roles."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from understudy.domain.errors import (
    Fault,
    InvalidInputError,
    PermissionRefusedError,
    raise_any,
    repeats,
)

FORMAT = 1  # of a file of identities
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/+-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Role(StrEnum):
    """A set of calls that a caller may make."""

    VIEWER = "viewer"  # reads all but artifacts
    AUTHOR = "author"  # registers versions
    APPROVER = "approver"  # judges versions of others
    OPERATOR = "operator"  # changes deployments
    CONTROLLER = "controller"  # changes deployments for others, as a program
    ROUTER = "router"
    HOST = "host"
    CALLER = "caller"  # scores, over a router's port
    ADMIN = "admin"  # all but votes, and the reports of routers and hosts


@dataclass(frozen=True, slots=True)
class Token:
    """A secret of which only the digest is kept."""

    sha256: str  # hexadecimal
    expires: datetime | None = None  # None: never

    def is_valid(self, now: datetime) -> bool:
        return self.expires is None or now < self.expires


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller by name; a token or a certificate proves it."""

    name: str
    roles: frozenset[Role]
    tokens: tuple[Token, ...] = ()
    certificate: str | None = None  # a subject alternative name of its certificate


@dataclass(frozen=True)
class Identities:
    """All callers that a process knows."""

    all: tuple[Identity, ...] = ()

    def by_token(self, sha256: str, now: datetime) -> Identity | None:
        """Return the caller whose token has this digest, unless the token has expired."""
        found = self._by_token.get(sha256)
        return found[0] if found is not None and found[1].is_valid(now) else None

    def by_certificate(self, names: Iterable[str]) -> Identity | None:
        """Return the caller with one of the names of a certificate."""
        found = (self._by_certificate[name] for name in names if name in self._by_certificate)
        return next(found, None)

    @cached_property
    def _by_token(self) -> dict[str, tuple[Identity, Token]]:
        return {token.sha256: (each, token) for each in self.all for token in each.tokens}

    @cached_property
    def _by_certificate(self) -> dict[str, Identity]:
        return {each.certificate: each for each in self.all if each.certificate is not None}


def require_role(identity: Identity, call: str, table: Mapping[str, frozenset[Role]]) -> None:
    """Return if one of the roles of `identity` may make `call`, by a table of roles for each call.

    Raises:
        PermissionRefusedError: none may, or the call is not in the table.
    """
    allowed = table.get(call, frozenset())
    if not identity.roles & allowed:
        roles = ", ".join(sorted(identity.roles))
        needed = ", ".join(sorted(allowed)) or "a role that does not exist"
        raise PermissionRefusedError(f"{identity.name} ({roles}) may not {call}: it needs {needed}")


def identities_from_document(document: object) -> Identities:
    """Return the identities of a parsed file, `{"format": 1, "identities": [...]}`.

    Raises:
        InvalidInputError: a field is missing, unknown or not acceptable, or two callers share a
            name, a token or a certificate.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        read = document.get("format") if isinstance(document, dict) else document
        raise InvalidInputError.of("format", read=read, accepted=str(FORMAT))
    entries = document.get("identities")
    if not isinstance(entries, list) or set(document) != {"format", "identities"}:
        raise InvalidInputError.of(
            "identities", read=sorted(document), accepted="format, and identities as a list"
        )
    raise_any(fault for number, entry in enumerate(entries) for fault in _faults_of(entry, number))
    found = Identities(tuple(_identity_of(entry) for entry in entries))
    raise_any(_repeated(found))
    return found


def document_of(identities: Identities) -> dict[str, Any]:
    """Return the document that `identities_from_document` reads."""
    return {"format": FORMAT, "identities": [_entry_of(each) for each in identities.all]}


def _faults_of(entry: object, number: int) -> Iterator[Fault]:
    field = f"identities[{number}]"
    if not isinstance(entry, dict):
        yield Fault.of(field, read=entry, accepted="an object")
        return
    for unknown in sorted(set(entry) - {"name", "roles", "tokens", "certificate"}):
        yield Fault.of(f"{field}.{unknown}", read="an unknown field", accepted="no such field")
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        accepted = "1 to 200 letters, digits and . _ @ : / + -, a letter or digit first"
        yield Fault.of(f"{field}.name", read=name, accepted=accepted)
    roles = entry.get("roles")
    if not isinstance(roles, list) or not roles or not {*map(str, roles)} <= {*Role}:
        accepted = f"a list of {', '.join(Role)}"
        yield Fault.of(f"{field}.roles", read=roles, accepted=accepted)
    certificate = entry.get("certificate")
    if certificate is not None and not (isinstance(certificate, str) and certificate):
        accepted = "a subject alternative name"
        yield Fault.of(f"{field}.certificate", read=certificate, accepted=accepted)
    tokens = entry.get("tokens", [])
    if not isinstance(tokens, list) or (not tokens and certificate is None):
        accepted = "a list of tokens, or a certificate"
        yield Fault.of(f"{field}.tokens", read=tokens, accepted=accepted)
        return
    for index, token in enumerate(tokens):
        yield from _token_faults(token, f"{field}.tokens[{index}]")


def _token_faults(token: object, field: str) -> Iterator[Fault]:
    if not isinstance(token, dict) or not set(token) <= {"sha256", "expires"}:
        yield Fault(field, "a token of another form", "sha256 and, if it expires, expires")
        return
    if not _SHA256.fullmatch(str(token.get("sha256"))):
        # The value may be the token itself, by mistake.
        yield Fault(f"{field}.sha256", "another text", "the SHA-256 of the token in hexadecimal")
    expires = token.get("expires")
    if expires is not None and _time_of(expires) is None:
        accepted = "a time with its zone, as 2027-01-31T12:00:00Z"
        yield Fault.of(f"{field}.expires", read=expires, accepted=accepted)


def _identity_of(entry: Mapping[str, Any]) -> Identity:
    tokens = [
        Token(token["sha256"], None if (e := token.get("expires")) is None else _time_of(e))
        for token in entry.get("tokens", [])
    ]
    roles = frozenset(Role(role) for role in entry["roles"])
    return Identity(entry["name"], roles, tuple(tokens), entry.get("certificate"))


def _entry_of(identity: Identity) -> dict[str, Any]:
    tokens: list[dict[str, str]] = []
    for token in identity.tokens:
        until = {} if token.expires is None else {"expires": token.expires.isoformat()}
        tokens.append({"sha256": token.sha256, **until})
    entry: dict[str, Any] = {"name": identity.name, "roles": sorted(identity.roles)}
    if tokens:
        entry["tokens"] = tokens
    if identity.certificate is not None:
        entry["certificate"] = identity.certificate
    return entry


def _repeated(identities: Identities) -> Iterator[Fault]:
    yield from repeats("name", (each.name for each in identities.all))
    yield from repeats(
        "certificate", (each.certificate for each in identities.all if each.certificate)
    )
    digests = [token.sha256 for each in identities.all for token in each.tokens]
    if len(set(digests)) < len(digests):
        yield Fault("tokens", "the same token twice", "each at most once")


def _time_of(text: object) -> datetime | None:
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return None if read.tzinfo is None else read.astimezone(UTC)
