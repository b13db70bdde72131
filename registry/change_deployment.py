"""Changes to a deployment: the next revision by compare-and-swap, with its audit row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, Engine

from registry.decisions.actors import Actor
from registry.decisions.approvals import check_approved, needed_approvals
from registry.decisions.blocking import check_not_blocked
from registry.decisions.changes import apply_change
from registry.decisions.declared_policy import DeclaredPolicy
from registry.decisions.limits import (
    BrokenLimit,
    ChangeLimits,
    broken_limits,
    check_limits,
    raised_shares_bp,
    share_since,
)
from registry.decisions.preflight import targets
from registry.decisions.recorded_objects import Kind
from registry.decisions.request_contract import ModelVersions
from registry.decisions.retirement import check_usable
from registry.decisions.rollback import needed_revision
from registry.decisions.traffic import answering_gains, gains
from registry.store import lineage, marks, revisions, versions, votes
from registry.store.database import reading, writing
from registry.store.recorded_revisions import Approved, Override, record_revision
from registry.store.recorded_votes import candidates_of
from registry.store.revisions import StoredRevision
from understudy.domain.canonical import digest_of_text
from understudy.domain.changes import (
    ACTIONS,
    Change,
    DeployChampion,
    Ended,
    Promote,
    Revision,
    Rollback,
)
from understudy.domain.deployments import Deployment
from understudy.domain.errors import (
    ConflictError,
    CorruptedError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
)
from understudy.domain.instants import unix_ns
from understudy.domain.request_contract import VersionNeeds
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import VersionRef
from understudy.features.decisions.request_needs import request_needs
from understudy.gate.record_checks import standing_findings
from understudy.provenance.findings import read_record

_PAST_REVISIONS = 50  # searched for revisions to suggest when a rollback must name one


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """The rules of approval that hold for all models of a registry."""

    least: int = 0  # approvals that every model demands, whatever its policy
    names: Callable[[], frozenset[str]] = frozenset  # people with the role to approve


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    model: str
    change: Change
    reason: str
    actor: Actor
    expect_revision: int | None  # None: any; 0: never deployed
    dry_run: bool
    numbers_taken: int = 0  # the new revision exceeds this number, which watchers know
    override_reason: str | None = None  # of a change that breaks limits; None: it may break none
    able: frozenset[int] | None = None  # versions that a preflight found able to act; None: any


@dataclass(frozen=True, slots=True)
class Changed:
    before: Revision | None  # None: the model was never deployed
    after: Revision
    audit_digest: str  # digest of its audit row; empty for a dry run, and without a new revision
    overridden: tuple[BrokenLimit, ...] = ()  # limits that it breaks, with a reason
    approved: Approved | None = None  # approvals that it needs; None if it needs none

    @property
    def applied(self) -> bool:
        return bool(self.audit_digest)

    @property
    def from_revision(self) -> int:
        """Number of the revision before the change; 0 if there was none."""
        return 0 if self.before is None else self.before.revision

    @property
    def is_none(self) -> bool:
        """True if the present revision is as requested already, so that none is made."""
        return self.after.revision == self.from_revision


@dataclass(frozen=True, slots=True)
class DeploymentChanger:
    """Applies changes in worker threads: everything here may block."""

    engine: Engine
    now: Callable[[], datetime]  # UTC
    check_room: Callable[[Connection, Revision], None] = lambda _connection, _after: None
    limits: ChangeLimits = field(default_factory=ChangeLimits)
    approvals: ApprovalRules = field(default_factory=ApprovalRules)

    def change(self, request: ChangeRequest) -> Changed:
        """Apply `request`, or only report its effect if it is a dry run.

        Raises:
            ConflictError: the current revision is not the expected one, or the change has become
                one that hands a part to a version that was not checked.
            NotFoundError, RefusedError, InvalidInputError: see `apply_change`; refused too if
                a version that would gain traffic is blocked, or its provenance has expired, or
                if there is no room for the state that would result.
        """
        if request.dry_run:
            with reading(self.engine) as connection:
                return self._decide(connection, request)
        # The write lock is held from reading the current revision to the commit.
        with writing(self.engine) as connection:
            planned = self._decide(connection, request)
            if planned.is_none:
                return planned
            return replace(planned, audit_digest=self._write(connection, request, planned))

    def _decide(self, connection: Connection, request: ChangeRequest) -> Changed:
        """Return the change without its row of the audit log."""
        model, change = request.model, request.change
        known = _versions_of(connection, model)
        if not known.needs:
            raise NotFoundError("model", model)
        before = revisions.current_of(connection, model)
        champions = [number for number in _champions(before, change) if number in known.needs]
        known = replace(known, policies=_policies(connection, model, champions))
        number = 0 if before is None else before.revision
        if request.expect_revision not in {None, number}:
            raise ConflictError(f"{model} is at revision {number}, not {request.expect_revision}")
        looks_back = isinstance(change, Rollback)
        past = revisions.past_of(connection, model, limit=_PAST_REVISIONS) if looks_back else ()
        needed = needed_revision(past, change)
        after = apply_change(
            before,
            change,
            earlier=None if needed is None else revisions.revision_of(connection, model, needed),
            model=model,
            versions=known,
            first_salt=model,
            numbers_taken=max(request.numbers_taken, lineage.latest(connection).revision),
        )
        needed_now, marked = targets(before, after), marks.of_kinds(connection, model)
        for kind in (Kind.RETIREMENT, Kind.COLLECTION):
            check_usable(model, needed_now, kind, marked[kind])
        reasons = {number: block.reason for number, block in marked[Kind.BLOCK].items()}
        check_not_blocked(model, gains(before, after), reasons)
        if request.able is not None and not needed_now <= request.able:
            raise ConflictError(f"{model} was changed while the artifacts were checked")
        # Going back must always be possible: these only block the next step forward.
        approved = None
        if not isinstance(change, Rollback):
            approved = self._check_approved(connection, before, after)
            self._check_standing(connection, model, gains(before, after))
            self.check_room(connection, after)
        broken = self._broken_limits(connection, change, before, after)
        check_limits(broken, is_overridden=request.override_reason is not None)
        return Changed(before, after, audit_digest="", overridden=tuple(broken), approved=approved)

    def _broken_limits(
        self, connection: Connection, change: Change, before: Revision | None, after: Revision
    ) -> list[BrokenLimit]:
        now, dwell_s = self.now(), self.limits.least_dwell_s
        since: dict[int, datetime | None] = {}
        if dwell_s is not None and not isinstance(change, Rollback):
            from_ns = unix_ns(now - timedelta(seconds=dwell_s))
            for version in raised_shares_bp(before, after):
                history = revisions.made_since(connection, after.model, from_ns)
                times = ((_utc(each.at_ns), each.content) for each in history)
                since[version] = share_since(version, times)
        return broken_limits(self.limits, change, before, after, since=since, now=now)

    def _check_approved(
        self, connection: Connection, before: Revision | None, after: Revision
    ) -> Approved | None:
        model, numbers = after.model, answering_gains(before, after)
        needed = needed_approvals(votes.policy_of(connection, model), self.approvals.least)
        if not needed or not numbers:
            return None
        candidates = candidates_of(connection, model, numbers, unix_ns(self.now()))
        check_approved(candidates, needed, self.approvals.names())
        return Approved(needed, {e.ref.number: e.standing.approvers for e in candidates})

    def _check_standing(self, connection: Connection, model: str, numbers: Sequence[int]) -> None:
        today = self.now().date()
        for number in numbers:
            _check_record(connection, VersionRef(model, number), today)

    def _write(self, connection: Connection, request: ChangeRequest, planned: Changed) -> str:
        at_ns, after = unix_ns(self.now()), planned.after
        action = ACTIONS[type(request.change)]
        content = after.last if isinstance(after, Ended) else after
        stored = StoredRevision(content, request.actor.name, action, request.reason, at_ns)
        override = None
        if request.override_reason is not None:
            override = Override(request.override_reason, tuple(e.name for e in planned.overridden))
        return record_revision(
            connection,
            planned.before,
            stored,
            request.actor,
            override=override,
            approved=planned.approved,
        )


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)


def _versions_of(connection: Connection, model: str) -> ModelVersions:
    found = versions.list_versions(connection, model)
    return ModelVersions(
        {stored.spec.ref.number: _needs_of(stored.spec) for stored in found},
        revisions.versions_named(connection, model),
    )


def _champions(before: Revision | None, change: Change) -> list[int]:
    """Return the numbers of the versions that the change may make champion by their records."""
    match change:
        case DeployChampion(version=version) | Promote(version=int(version)):
            return [version]
        case Promote() if isinstance(before, Deployment):
            return [each.version for each in before.challengers]
        case _:
            return []


def _policies(
    connection: Connection, model: str, numbers: Sequence[int]
) -> dict[int, DeclaredPolicy]:
    """Return the policies in the records of versions, which exist."""
    refs = [VersionRef(model, number) for number in numbers]
    return {
        ref.number: _policy_of(versions.get_version(connection, ref).provenance_json)
        for ref in refs
    }


def _policy_of(provenance_json: str) -> DeclaredPolicy:
    policy = read_record(provenance_json).groups.get("policy")
    if policy is None:  # a damaged record, which `_check_record` refuses
        return DeclaredPolicy()
    threshold, score = policy.decision_threshold, policy.fallback_score
    return DeclaredPolicy(
        threshold if isinstance(threshold, float) else None,
        score if isinstance(score, float) else None,
    )


def _needs_of(spec: VersionSpec) -> VersionNeeds:
    outputs = [output.name for output in spec.outputs]
    try:
        return request_needs(spec.feature_set, spec.feature_views, outputs)
    except InvalidInputError:
        return VersionNeeds()  # no router serves it, but it must not keep others from being served


def _check_record(connection: Connection, ref: VersionRef, today: date) -> None:
    stored = versions.get_version(connection, ref)
    if digest_of_text(stored.provenance_json) != stored.spec.provenance_digest:
        raise CorruptedError(f"the provenance record of {ref} differs from the registered one")
    read = read_record(stored.provenance_json)
    findings = (*read.findings, *standing_findings(read.groups, today))
    if findings:
        listed = "; ".join(str(finding) for finding in findings)
        raise RefusedError(f"the provenance of {ref} no longer holds: {listed}")
