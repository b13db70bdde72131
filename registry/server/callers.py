"""Requirements on callers: a name, and a reason for each change."""

from typing import Any

import grpc

from registry.decisions.actors import Actor, Proof
from registry.decisions.permissions import require_delegation
from registry.server.authentication import proven_caller
from understudy.control.identity import ACTOR_KEY, ON_BEHALF_OF_KEY
from understudy.domain.errors import InvalidInputError, PermissionRefusedError
from understudy.provenance.meaning import is_placeholder
from understudy.runtime.rpc_boundary import peer_of

LONGEST_ACTOR = 200
_LONGEST_REASON = 2000

Context = grpc.aio.ServicerContext[Any, Any]


def actor_of(context: Context) -> Actor:
    """Return the actor of the call: the proven caller, or the claim in its metadata.

    Raises:
        PermissionRefusedError: callers are believed, and this one names no actor; or its roles do
            not let it act on behalf of others.
        InvalidInputError: it acts on behalf of a text that is no name.
    """
    metadata = {key: str(value).strip() for key, value in context.invocation_metadata() or ()}
    other = metadata.get(ON_BEHALF_OF_KEY, "")
    if ON_BEHALF_OF_KEY in metadata:
        checked_name_of(other, ON_BEHALF_OF_KEY)
    if (proven := proven_caller()) is not None:
        if other:
            require_delegation(proven.identity)
        return Actor(proven.identity.name, proven.proof, peer_of(context), other)
    actor = metadata.get(ACTOR_KEY, "")
    if not _is_name(actor):
        raise PermissionRefusedError(f"the call names no actor in its metadata ({ACTOR_KEY})")
    return Actor(actor, Proof.UNPROVEN, peer_of(context), other)


def name_of(context: Context, *, believes: bool) -> str:
    """Return the name of a caller whose call may be refused; empty for none.

    Args:
        context: of the call.
        believes: whether the claim in its metadata counts as a name.
    """
    if (proven := proven_caller()) is not None:
        return proven.identity.name
    claims = [str(value) for key, value in context.invocation_metadata() or () if key == ACTOR_KEY]
    return claims[0] if believes and claims and _is_name(claims[0]) else ""


def log_facts(actor: Actor) -> dict[str, str]:
    """Return the actor as facts of a line in the log."""
    facts = {"actor": actor.name, "proof": actor.proof.value, "peer": actor.peer}
    return {**facts, "on_behalf_of": actor.on_behalf_of} if actor.on_behalf_of else facts


def checked_name_of(text: str, field: str) -> str:
    """Return `text` if an actor can have this name.

    Raises:
        InvalidInputError: it is empty, too long, or has control characters.
    """
    if not _is_name(text):
        accepted = f"1 to {LONGEST_ACTOR} printable characters"
        raise InvalidInputError.of(field, read=text[:LONGEST_ACTOR], accepted=accepted)
    return text


def checked_reason(text: str, field: str = "reason") -> str:
    """Return `text` if it is a reason: no placeholder, and harmless to a terminal.

    Raises:
        InvalidInputError: it is not.
    """
    if len(text) > _LONGEST_REASON or is_placeholder(text) or not _is_harmless(text):
        accepted = "1 to 2000 printable characters and line breaks"
        raise InvalidInputError.of(field, read=text, accepted=accepted)
    return text


def _is_harmless(text: str) -> bool:
    return text.replace("\n", "").isprintable()  # terminals interpret other control characters


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_ACTOR and not is_placeholder(text) and text.isprintable()
