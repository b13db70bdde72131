"""The restore of a registry: the audited act by which watchers of a lost one accept this one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.succession import RestoreRequest, Succession, Watched, plan_succession
from registry.store import audit_log, lineage, revisions
from registry.store.database import reading, writing
from registry.store.lineage import StoredLineage
from registry.store.recorded_revisions import record_revision
from registry.store.revisions import StoredRevision
from understudy.domain.canonical import canonical_json
from understudy.domain.changes import Action
from understudy.domain.instants import unix_ns


@dataclass(frozen=True, slots=True)
class Restore:
    """An operator's request, with the reports of watchers at that time."""

    request: RestoreRequest
    watched: Watched
    actor: Actor
    reason: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """The effect of a restore."""

    plan: Succession
    lineage: str  # of this registry from now on; for a dry run, the present one
    audit_digest: str  # digest of its audit row; empty for a dry run

    @property
    def applied(self) -> bool:
        return bool(self.audit_digest)


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores in worker threads: everything here may block."""

    engine: Engine
    now: Callable[[], datetime]  # UTC

    def restore(self, asked: Restore) -> Restored:
        """Give this registry a lineage of its own that succeeds the named one; or only plan it.

        Raises:
            RefusedError, InvalidInputError: see `plan_succession`.
        """
        if asked.dry_run:
            with reading(self.engine) as connection:
                plan, before = _planned(connection, asked)
            return Restored(plan, before.id, audit_digest="")
        with writing(self.engine) as connection:
            return succeed(connection, asked, unix_ns(self.now()))


def succeed(connection: Connection, asked: Restore, at_ns: int) -> Restored:
    """Give the registry a lineage of its own that succeeds the named one.

    Args:
        connection: of a transaction that writes.
        asked: no dry run.
        at_ns: time of the act, UTC, since 1970.

    Raises:
        RefusedError, InvalidInputError: see `plan_succession`.
    """
    plan, before = _planned(connection, asked)
    stored = StoredLineage(
        place=before.place + 1,
        id=str(uuid4()),
        successor_of=asked.request.successor_of,
        revision=plan.revision,
        ended=plan.ends,
    )
    lineage.add(connection, stored)
    digest = audit_log.append(
        connection,
        audit_log.Event(
            at_ns=at_ns,
            actor=asked.actor,
            action=Action.RESTORE,
            model="",
            reason=asked.reason,
            details_json=canonical_json({**lineage.content_of(stored), "digest": stored.digest}),
        ),
    )
    for deployment in plan.restored:
        record_revision(
            connection,
            revisions.current_of(connection, deployment.model),
            StoredRevision(deployment, asked.actor.name, Action.RESTORE, asked.reason, at_ns),
            asked.actor,
        )
    return Restored(plan, stored.id, digest)


def _planned(connection: Connection, asked: Restore) -> tuple[Succession, StoredLineage]:
    before = lineage.latest(connection)
    current = [
        revision
        for model in revisions.models_with_revisions(connection)
        if (revision := revisions.current_of(connection, model)) is not None
    ]
    plan = plan_succession(
        asked.request,
        current,
        asked.watched,
        lineage=before.id,
        last_restored=before.revision,
    )
    return plan, before
