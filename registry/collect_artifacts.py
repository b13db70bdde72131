"""The collection of artifacts that nothing needs: audited first, then removed from the disk.

If the process ends in between, files stay that no intact version needs; the next collection removes
them. The records of collected versions stay, in the registry and in the log.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.collection import (
    Candidate,
    CollectionPlan,
    Past,
    needs_of_model,
    plan_collection,
)
from registry.decisions.recorded_objects import Kind
from registry.decisions.rollback import PastRevision
from registry.store import acting, marks, revisions, tags, versions
from registry.store.artifacts import ArtifactStore
from registry.store.database import owning_files, reading, writing
from registry.store.marked_versions import record_mark
from registry.store.marks import Mark
from understudy.domain.deployments import Deployment
from understudy.domain.errors import ConflictError
from understudy.domain.instants import unix_ns
from understudy.domain.versions import VersionRef

_PAST_REVISIONS = 50  # searched for rollback targets, as a rollback does


@dataclass(frozen=True, slots=True)
class CollectionRequest:
    """A collection, in one model or in all."""

    model: str | None
    keep_revisions: int  # newest revisions of each model that keep all that they need
    least_age: timedelta  # since the registration; retired versions need none
    actor: Actor
    reason: str
    dry_run: bool
    expect_plan: str | None  # digest of the plan that was confirmed; None: any
    deployments: Mapping[str, Deployment]  # current revisions with their standby, by model
    running: frozenset[VersionRef]  # versions of which a host reports a scorer


@dataclass(frozen=True, slots=True)
class Collected:
    """The effect of a request."""

    plan: CollectionPlan
    applied: bool  # False: a dry run


@dataclass(frozen=True, slots=True)
class Collector:
    """Collects in worker threads: everything here may block. No registration may run meanwhile."""

    engine: Engine
    artifacts: ArtifactStore
    now: Callable[[], datetime]  # UTC

    def collect(self, asked: CollectionRequest) -> Collected:
        """Collect, or only report the effect if it is a dry run.

        Raises:
            ConflictError: the plan is no longer the expected one.
            UnavailableError: the files cannot be listed, or one of them cannot be removed.
        """
        if asked.dry_run:
            stored = self.artifacts.stored()
            with reading(self.engine) as connection:
                return Collected(self._plan(connection, asked, stored), applied=False)
        with owning_files(self.engine):
            plan = self._recorded(asked, self.artifacts.stored())
            self.artifacts.remove(plan.files)
        return Collected(plan, applied=True)

    def _recorded(self, asked: CollectionRequest, stored: Mapping[str, int]) -> CollectionPlan:
        with writing(self.engine) as connection:
            plan = self._plan(connection, asked, stored)
            if asked.expect_plan not in {None, plan.digest}:
                raise ConflictError(
                    f"the plan has become {plan.digest}, not {asked.expect_plan}; look at it again"
                )
            self._record(connection, asked, plan)
        return plan

    def _record(
        self, connection: Connection, asked: CollectionRequest, plan: CollectionPlan
    ) -> None:
        at_ns = unix_ns(self.now())
        for ref in plan.versions:
            mark = Mark(Kind.COLLECTION, ref, asked.actor.name, asked.reason, at_ns)
            record_mark(connection, mark, asked.actor, begins=True, facts={"plan": plan.digest})

    def _plan(
        self, connection: Connection, asked: CollectionRequest, stored: Mapping[str, int]
    ) -> CollectionPlan:
        before_ns = unix_ns(self.now() - asked.least_age)
        candidates = list(_candidates(connection))
        of = frozenset(e.ref for e in candidates if asked.model in {None, e.ref.model})
        due = {each.ref.model for each in candidates if each.ref in of and each.is_due(before_ns)}
        needed = {
            VersionRef(model, number): why
            for model in sorted(due)
            for number, why in _needs(connection, asked, model).items()
        }
        needed |= dict.fromkeys(asked.running, "a scorer of it runs")
        return plan_collection(candidates, needed, stored, before_ns=before_ns, of=of)


def _candidates(connection: Connection) -> Iterator[Candidate]:
    marked = marks.all_of(connection, None)
    for ref, at_ns, files in versions.files_of_all(connection):
        kinds = marked.get(ref, {})
        yield Candidate(ref, at_ns, files, Kind.RETIREMENT in kinds, Kind.COLLECTION in kinds)


def _needs(connection: Connection, asked: CollectionRequest, model: str) -> dict[int, str]:
    most = max(asked.keep_revisions, _PAST_REVISIONS)
    page = revisions.page_of(connection, model, before=None, limit=most)
    out = {
        ref.number
        for ref, kinds in marks.all_of(connection, model).items()
        if kinds.keys() & {Kind.RETIREMENT, Kind.COLLECTION}
    }
    facts = [
        PastRevision(d.revision, d.champion, d.digest, stored.action)
        for stored in page
        for d in [stored.deployment]
    ]
    acts = acting.read(connection, model)
    named = {each.ref.number: each.name for each in tags.of_model(connection, model).values()}
    needed = needs_of_model(
        asked.deployments.get(model),
        None if acts is None else acts.version,
        Past(list(zip(facts, (each.deployment for each in page), strict=True)), out),
        keep_revisions=asked.keep_revisions,
    )
    return {**{number: f"has the tag {name}" for number, name in named.items()}, **needed}
