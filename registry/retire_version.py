"""Retirement of versions: the audited act after which a version can take no part, and its end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.recorded_objects import Kind
from registry.decisions.retirement import check_may_retire
from registry.decisions.rollback import rollback_targets
from registry.store import acting, marks, revisions, versions
from registry.store.database import reading, writing
from registry.store.marked_versions import record_mark
from registry.store.marks import Mark
from understudy.domain.deployments import Deployment, versions_in_use
from understudy.domain.errors import RefusedError
from understudy.domain.instants import unix_ns
from understudy.domain.versions import VersionRef

_PAST_REVISIONS = 50  # searched for rollback targets, as a rollback does


@dataclass(frozen=True, slots=True)
class RetirementRequest:
    """A version to retire, or to reinstate."""

    ref: VersionRef
    is_retirement: bool  # False: reinstate it
    actor: Actor
    reason: str
    dry_run: bool


@dataclass(frozen=True, slots=True)
class RetirementSet:
    """The effect of a request."""

    rollbacks: tuple[
        int, ...
    ]  # revisions that need the version: targets only while it is not retired
    audit_digest: str  # digest of its audit row; empty for a dry run


@dataclass(frozen=True, slots=True)
class Retirer:
    """Retires and reinstates in worker threads: everything here may block."""

    engine: Engine
    now: Callable[[], datetime]  # UTC

    def set_retirement(self, asked: RetirementRequest) -> RetirementSet:
        """Retire or reinstate the version, or only report the effect if it is a dry run.

        Raises:
            NotFoundError: no such version.
            RefusedError: it is in that state already, or takes a part.
        """
        if asked.dry_run:
            with reading(self.engine) as connection:
                return RetirementSet(_planned(connection, asked), audit_digest="")
        with writing(self.engine) as connection:
            rollbacks = _planned(connection, asked)
            at_ns = unix_ns(self.now())
            mark = Mark(Kind.RETIREMENT, asked.ref, asked.actor.name, asked.reason, at_ns)
            digest = record_mark(connection, mark, asked.actor, begins=asked.is_retirement)
            return RetirementSet(rollbacks, digest)


def _planned(connection: Connection, asked: RetirementRequest) -> tuple[int, ...]:
    """Return the revisions that need the version."""
    ref = asked.ref
    versions.get_version(connection, ref)
    retired = marks.of_model(connection, Kind.RETIREMENT, ref.model)
    if asked.is_retirement:
        current = revisions.current_of(connection, ref.model)
        acts = acting.read(connection, ref.model)
        check_may_retire(
            ref,
            current if isinstance(current, Deployment) else None,
            None if acts is None else acts.version,
            retired,
        )
    elif ref.number not in retired:
        raise RefusedError(f"{ref} is not retired")
    past = revisions.past_of(connection, ref.model, limit=_PAST_REVISIONS)
    found = (revisions.entry_of(connection, ref.model, e.revision) for e in rollback_targets(past))
    return tuple(
        each.deployment.revision for each in found if ref.number in versions_in_use(each.deployment)
    )
