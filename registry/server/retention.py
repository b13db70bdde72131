"""Retirements and collections: carried out, logged, and answered."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

import structlog

from registry.collect_artifacts import Collected, CollectionRequest, Collector
from registry.decisions.actors import Actor
from registry.decisions.collection import MOST_VERSIONS
from registry.retire_version import RetirementRequest, Retirer
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.wire import model_faults, ref_of
from understudy.control.wire_values import ref_to_wire, value_or_none
from understudy.domain.errors import Fault, raise_any
from understudy.registry.v1 import registry_pb2 as pb

_MOST_REVISIONS = 1_000
_MOST_DAYS = 36_500

_log = structlog.get_logger()


async def set_retirement(
    request: pb.SetRetirementRequest, actor: Actor, live: LiveState, retirer: Retirer
) -> pb.SetRetirementResponse:
    """Retire the version or reinstate it, or return the effect of a dry run.

    Raises:
        InvalidInputError: the version or the reason is invalid.
        UnderstudyError: see `Retirer.set_retirement`.
    """
    asked = RetirementRequest(
        ref_of(request.ref, "ref"),
        request.retired,
        actor,
        checked_reason(request.reason),
        request.dry_run,
    )
    done = await live.change_or_plan(
        lambda: retirer.set_retirement(asked), models=[asked.ref.model], dry_run=asked.dry_run
    )
    if done.audit_digest:
        event = "version_retired" if asked.is_retirement else "version_reinstated"
        _log.info(event, version=str(asked.ref), **log_facts(actor), audit_digest=done.audit_digest)
    return pb.SetRetirementResponse(
        rollbacks=done.rollbacks,
        applied=bool(done.audit_digest),
        lineage=live.snapshot.lineage,
        sequence=live.snapshot.sequence,
    )


async def collect(
    request: pb.CollectArtifactsRequest, actor: Actor, live: LiveState, collector: Collector
) -> pb.CollectArtifactsResponse:
    """Collect artifacts, or return the plan of a dry run.

    It runs as a change, so that no registration stores files meanwhile.

    Raises:
        InvalidInputError: the model, a number or the reason is invalid.
        UnderstudyError: see `Collector.collect`.
    """
    asked = _collection_from_wire(request, actor, live)
    done = await live.change_or_plan(
        lambda: collector.collect(asked), models=[], dry_run=asked.dry_run
    )
    if done.applied:
        _log.info(
            "artifacts_collected",
            **log_facts(actor),
            versions=[str(each) for each in done.plan.versions],
            files=len(done.plan.files),
            size_bytes=done.plan.size_bytes,
        )
    return _collected_to_wire(done)


def _collection_from_wire(
    request: pb.CollectArtifactsRequest, actor: Actor, live: LiveState
) -> CollectionRequest:
    raise_any(_faults_of(request))
    return CollectionRequest(
        model=value_or_none(request, "model"),
        keep_revisions=request.keep_revisions,
        least_age=timedelta(days=request.least_age_days),
        actor=actor,
        reason=checked_reason(request.reason),
        dry_run=request.dry_run,
        expect_plan=value_or_none(request, "expect_plan"),
        deployments={each.model: each for each in live.deployments()},
        running=frozenset(each.ref for each in live.observed.scorers()),
    )


def _faults_of(request: pb.CollectArtifactsRequest) -> Iterator[Fault]:
    if request.HasField("model"):
        yield from model_faults(request.model, "model")
    if not 1 <= request.keep_revisions <= _MOST_REVISIONS:
        read = str(request.keep_revisions)
        yield Fault("keep_revisions", read, f"1 to {_MOST_REVISIONS}")
    if request.least_age_days > _MOST_DAYS:
        yield Fault("least_age_days", str(request.least_age_days), f"0 to {_MOST_DAYS}")


def _collected_to_wire(done: Collected) -> pb.CollectArtifactsResponse:
    plan = done.plan
    return pb.CollectArtifactsResponse(
        versions=map(ref_to_wire, plan.versions),
        files=len(plan.files),
        unnamed_files=plan.unnamed,
        size_bytes=plan.size_bytes,
        kept=[
            pb.KeptVersion(ref=ref_to_wire(ref), why=why)
            for ref, why in islice(plan.kept.items(), MOST_VERSIONS)
        ],
        plan=plan.digest,
        applied=done.applied,
        has_more=plan.has_more,
    )
