"""The proven name of each caller: a token or a certificate, compared with a file of identities."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from registry.decisions.actors import Proof
from registry.decisions.permissions import ROLES_OF_CALL, require_permission
from understudy.control.known_callers import KnownCallers
from understudy.domain.identities import Identity, Role
from understudy.runtime.rpc_boundary import Context

_caller: ContextVar["ProvenCaller | None"] = ContextVar("caller", default=None)


@dataclass(frozen=True, slots=True)
class ProvenCaller:
    """A caller, and the kind of proof that its call had."""

    identity: Identity
    proof: Proof
    approvers: Callable[[], frozenset[str]] = frozenset  # names of all who may approve versions


def proven_caller() -> ProvenCaller | None:
    """Return the proven caller of the present call; None if callers are believed without proof."""
    return _caller.get()


class Authentication:
    """Proves callers and their permission before any of their request is read."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        """Read the file of identities.

        Raises:
            InvalidInputError: the file is not readable, or others may read it.
        """
        self._known = KnownCallers(path, now)

    def __call__(self, context: Context, call: str) -> None:
        """Remember the proven caller for the rest of the call.

        Raises:
            UnauthenticatedError: no token or certificate proves a name.
            PermissionRefusedError: no role of the caller allows the call.
        """
        proven = self._known.prove(context)
        proof = Proof.TOKEN if proven.by_token else Proof.CERTIFICATE
        approvers = partial(self.names_with, Role.APPROVER)
        # Before the check: a refusal is recorded under the proven name.
        _caller.set(ProvenCaller(proven.identity, proof, approvers))
        require_permission(call, proven.identity)

    def names_with(self, role: Role) -> frozenset[str]:
        """Return the callers who have a role, as the file was last read."""
        return self._known.names_with(role)


def require_table_of(calls: Iterable[str]) -> None:
    """Check that the table of permissions names just these calls.

    Raises:
        AssertionError: a call has no line, or a line no call.
    """
    wrong = set(calls) ^ ROLES_OF_CALL.keys()
    assert not wrong, f"not in the table of permissions, or not a call: {sorted(wrong)}"  # noqa: S101
