"""The proven name of each caller: a token or a certificate, compared with a file of identities."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import structlog

from registry.decisions.actors import Proof
from registry.decisions.permissions import ROLES_OF_CALL, require_permission
from registry.server.identities_file import read_identities
from understudy.domain.errors import InvalidInputError, UnauthenticatedError
from understudy.domain.identities import Identities, Identity, Role
from understudy.runtime.rpc_boundary import Context

_TOKEN_KEY = "authorization"  # noqa: S105 - key in the call's metadata
_SCHEME = "bearer "
_CERTIFICATE_NAMES = "x509_subject_alternative_name"  # in the context of a connection with TLS

_log = structlog.get_logger()
_caller: ContextVar["ProvenCaller | None"] = ContextVar("caller", default=None)


@dataclass(frozen=True, slots=True)
class ProvenCaller:
    """A caller, and the kind of proof that its call had."""

    identity: Identity
    proof: Proof


def proven_caller() -> ProvenCaller | None:
    """Return the proven caller of the present call; None if callers are believed without proof."""
    return _caller.get()


class Authentication:
    """Proves callers and their permission before any of their request is read.

    The file is read again when it has changed. One that has become unreadable leaves the callers of
    before, and an error in the log.
    """

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        """Read the file.

        Raises:
            InvalidInputError: the file is not readable, or others may read it.
        """
        self._path = path
        self._now = now
        self._seen = _state_of(path)
        self._identities = read_identities(path)

    def __call__(self, context: Context, call: str) -> None:
        """Remember the proven caller for the rest of the call.

        Raises:
            UnauthenticatedError: no token or certificate proves a name.
            PermissionRefusedError: no role of the caller allows the call.
        """
        caller = self._identify(context)
        require_permission(call, caller.identity)
        _caller.set(caller)

    def names_with(self, role: Role) -> frozenset[str]:
        """Return the callers who have a role, as the file was last read."""
        return frozenset(each.name for each in self._identities.all if role in each.roles)

    def _identify(self, context: Context) -> ProvenCaller:
        identities, now = self._current(), self._now()
        token = _token_in(context)
        if token is not None:
            found = identities.by_token(sha256(token).hexdigest(), now)
            why = "its token is unknown or has expired"
        else:
            names = _certificate_names(context)
            found = identities.by_certificate(names)
            why = f"no caller has the certificate's names ({', '.join(names)})"
            if not names:
                why = f"it has neither a token ({_TOKEN_KEY}) nor a certificate"
        if found is None:
            raise UnauthenticatedError(f"the call proves no name: {why}")
        return ProvenCaller(found, Proof.CERTIFICATE if token is None else Proof.TOKEN)

    def _current(self) -> Identities:
        state = _state_of(self._path)
        if state != self._seen:
            self._seen = state
            try:
                self._identities = read_identities(self._path)
            except InvalidInputError as error:
                _log.error("identities_unusable", why=str(error))
            else:
                _log.info("identities_replaced", identities=len(self._identities.all))
        return self._identities


def require_table_of(calls: Iterable[str]) -> None:
    """Check that the table of permissions names just these calls.

    Raises:
        AssertionError: a call has no line, or a line no call.
    """
    wrong = set(calls) ^ ROLES_OF_CALL.keys()
    assert not wrong, f"not in the table of permissions, or not a call: {sorted(wrong)}"  # noqa: S101


@dataclass(frozen=True, slots=True)
class _FileState:
    inode: int
    size_bytes: int
    changed_ns: int


def _state_of(path: Path) -> _FileState | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _FileState(found.st_ino, found.st_size, found.st_mtime_ns)


def _token_in(context: Context) -> bytes | None:
    for key, value in context.invocation_metadata() or ():
        if key == _TOKEN_KEY:
            text = value if isinstance(value, str) else ""
            is_bearer = text[: len(_SCHEME)].lower() == _SCHEME
            return text[len(_SCHEME) :].encode() if is_bearer else b""
    return None


def _certificate_names(context: Context) -> list[str]:
    found = context.auth_context().get(_CERTIFICATE_NAMES, [])
    return [name.decode(errors="replace") for name in found]
