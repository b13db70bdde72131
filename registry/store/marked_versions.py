"""A mark of a version, or its end, together with its row of the audit log. Runs in a transaction."""

from collections.abc import Mapping

from sqlalchemy import Connection

from registry.decisions.actors import Actor
from registry.decisions.recorded_objects import BEGINS, ENDS, Kind
from registry.store import audit_log, marks
from registry.store.marks import Mark
from registry.store.recorded_votes import void_votes
from understudy.domain.canonical import canonical_json

# Marks after which a version needs a new look before it answers callers.
_VOIDING = frozenset({Kind.BLOCK, Kind.RETIREMENT})


def record_mark(
    connection: Connection,
    mark: Mark,
    actor: Actor,
    *,
    begins: bool,
    facts: Mapping[str, str] | None = None,
) -> str:
    """Add or remove the mark with its row; return the row's digest. The transaction must hold the write lock.

    Args:
        connection: of the transaction.
        mark: with author, reason and time of this act.
        actor: its author, by the same name.
        begins: False: the mark of its kind is removed from the version.
        facts: further details of the row.
    """
    if begins:
        marks.add(connection, mark)
        if mark.kind in _VOIDING:
            void_votes(connection, mark.ref, actor, f"{mark.kind}: {mark.reason}", mark.at_ns)
    else:
        marks.remove(connection, mark.kind, mark.ref)
    actions = {kind: action for action, kind in (BEGINS if begins else ENDS).items()}
    details = {**(facts or {}), "version": str(mark.ref), "digest": mark.digest}
    return audit_log.append(
        connection,
        audit_log.Event(
            at_ns=mark.at_ns,
            actor=actor,
            action=actions[mark.kind],
            model=mark.ref.model,
            reason=mark.reason,
            details_json=canonical_json(details),
        ),
    )
