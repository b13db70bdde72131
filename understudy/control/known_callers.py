"""The callers that a process knows, from a file of identities, and the proof of a name in a call."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import structlog

from understudy.control.identities_file import read_identities
from understudy.domain.errors import InvalidInputError, UnauthenticatedError
from understudy.domain.identities import Identities, Identity, Role
from understudy.runtime.file_state import state_of
from understudy.runtime.rpc_boundary import Context

_TOKEN_KEY = "authorization"  # noqa: S105 - key in the call's metadata
_SCHEME = "bearer "
_CERTIFICATE_NAMES = "x509_subject_alternative_name"  # in the context of a connection with TLS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Proven:
    """A caller, and the kind of proof that its call had."""

    identity: Identity
    by_token: bool  # or by a certificate


class KnownCallers:
    """The callers in a file, which is read again when it has changed.

    One that has become unreadable leaves the callers of before, and an error in the log.
    """

    def __init__(
        self, path: Path, now: Callable[[], datetime], *, look_every_s: float = 0.0
    ) -> None:
        """Read the file.

        `look_every_s`: pause between looks at the file, for processes of many calls.

        Raises:
            InvalidInputError: the file is not readable, or others may read it.
        """
        self._path = path
        self._now = now
        self._look_every_s = look_every_s
        self._seen = state_of(path)
        self._looked_at = now()
        self._identities = read_identities(path)

    def prove(self, context: Context) -> Proven:
        """Return the caller whose name the token or the certificate of a call proves.

        Raises:
            UnauthenticatedError: neither does.
        """
        now = self._now()
        identities = self._current(now)
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
        return Proven(found, by_token=token is not None)

    def names_with(self, role: Role) -> frozenset[str]:
        """Return the callers who have a role, as the file was last read."""
        return frozenset(each.name for each in self._identities.all if role in each.roles)

    def _current(self, now: datetime) -> Identities:
        if abs((now - self._looked_at).total_seconds()) < self._look_every_s:
            return self._identities
        self._looked_at = now
        state = state_of(self._path)
        if state != self._seen:
            self._seen = state
            try:
                self._identities = read_identities(self._path)
            except InvalidInputError as error:
                _log.error("identities_unusable", why=str(error))
            else:
                _log.info("identities_replaced", identities=len(self._identities.all))
        return self._identities


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
