"""Requirements on callers: a name, and a reason for each change."""

from typing import Any

import grpc

from registry.server.authentication import proven_caller
from understudy.control.identity import ACTOR_KEY
from understudy.domain.errors import InvalidInputError, PermissionRefusedError
from understudy.provenance.meaning import is_placeholder

LONGEST_ACTOR = 200
_LONGEST_REASON = 2000

Context = grpc.aio.ServicerContext[Any, Any]


def actor_of(context: Context) -> str:
    """Return the actor of the call: the proven caller, or the claim in its metadata.

    Raises:
        PermissionRefusedError: callers are believed, and this one names no actor.
    """
    if (proven := proven_caller()) is not None:
        return proven.name
    metadata = dict(context.invocation_metadata() or ())
    actor = str(metadata.get(ACTOR_KEY, "")).strip()
    if is_placeholder(actor) or len(actor) > LONGEST_ACTOR or not actor.isprintable():
        raise PermissionRefusedError(f"the call names no actor in its metadata ({ACTOR_KEY})")
    return actor


def checked_reason(text: str, field: str = "reason") -> str:
    """Return `text` if it is a reason: no placeholder, and harmless to a terminal.

    Raises:
        InvalidInputError: it is not.
    """
    printable = text.replace("\n", "").isprintable()  # terminals interpret other control characters
    if is_placeholder(text) or len(text) > _LONGEST_REASON or not printable:
        accepted = "1 to 2000 printable characters and line breaks"
        raise InvalidInputError.of(field, read=text, accepted=accepted)
    return text
