"""The revisions to which rollbacks can return: checked again and again, and listed with faults."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.decisions.rollback import needed_revision, rollback_targets
from registry.server.live_state import LiveState
from registry.server.preflight import Preflight
from registry.server.wire import revision_to_wire
from registry.store import revisions
from registry.store.database import reading
from registry.store.revisions import StoredRevision
from understudy.control.wire_values import timestamp
from understudy.domain.changes import Rollback
from understudy.domain.errors import NotFoundError, RefusedError, UnderstudyError
from understudy.domain.instants import unix_ns
from understudy.registry.v1 import registry_pb2 as pb

_PAST_REVISIONS = 50  # searched for contents that differ

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """A revision to which a rollback can return, unless it has faults."""

    stored: StoredRevision
    is_default: bool  # of a rollback that names no revision
    faults: tuple[str, ...]  # reasons for which a rollback to it would be refused


@dataclass(frozen=True, slots=True)
class RollbackReview:
    """The rollback targets of a deployment at one time."""

    model: str
    at: datetime  # UTC
    current_revision: int
    targets: tuple[RollbackTarget, ...]

    @property
    def broken(self) -> dict[int, tuple[str, ...]]:
        """The faults of each target that has any, by revision."""
        return {e.stored.deployment.revision: e.faults for e in self.targets if e.faults}


@dataclass(slots=True, eq=False)
class RollbackTargets:
    """Checks rollback targets by planning the rollback. For one event loop."""

    live: LiveState
    changer: DeploymentChanger
    preflight: Preflight
    review_every_s: float
    _reviews: dict[str, RollbackReview] = field(default_factory=dict)

    async def review(self) -> None:
        """Check the targets of all deployments now and again, without end."""
        while True:
            await self.review_once()
            await asyncio.sleep(self.review_every_s)

    async def review_once(self) -> None:
        """Check the targets of all deployments, keep the result, and log the changes."""
        deployments = self.live.deployments()
        for deployment in deployments:
            try:
                found = tuple(await self.of_model(deployment.model))
            except Exception:  # noqa: BLE001 - boundary of a task: one damaged model hides no other
                _log.exception("rollback_targets_unread", model=deployment.model)
                continue
            at = self.changer.now()
            review = RollbackReview(deployment.model, at, deployment.revision, found)
            _log_changes(self._reviews.get(deployment.model), review)
            self._reviews = {**self._reviews, deployment.model: review}
        models = {each.model for each in deployments}
        self._reviews = {name: each for name, each in self._reviews.items() if name in models}

    def reviews(self, model: str | None) -> list[RollbackReview]:
        """Return the latest review of each deployment, or of one; none before the first."""
        return [each for name, each in sorted(self._reviews.items()) if model in {None, name}]

    async def of_model(self, model: str) -> list[RollbackTarget]:
        """Return the model's targets, latest first, checked now.

        Raises:
            NotFoundError: the model was never deployed.
        """
        default, found = await self.live.run(lambda: self._targets_of(model))
        return [
            RollbackTarget(
                each,
                is_default=each.deployment.revision == default,
                faults=await self._faults_of(model, each.deployment.revision),
            )
            for each in found
        ]

    def _targets_of(self, model: str) -> tuple[int | None, list[StoredRevision]]:
        with reading(self.changer.engine) as connection:
            past = revisions.past_of(connection, model, limit=_PAST_REVISIONS)
            if not past:
                raise NotFoundError("deployment of", model)
            default = None
            with suppress(RefusedError):  # the last change was a rollback: none is the default
                default = needed_revision(past, Rollback())
            found = rollback_targets(past)
            return default, [revisions.entry_of(connection, model, e.revision) for e in found]

    async def _faults_of(self, model: str, number: int) -> tuple[str, ...]:
        asked = ChangeRequest(
            model, Rollback(number), "", Actor(""), expect_revision=None, dry_run=True
        )
        try:
            planned = await self.live.run(lambda: self.changer.change(asked))
        except UnderstudyError as error:
            return (str(error),)
        return tuple(await self.preflight.faults_of_change(planned.before, planned.after))


def _log_changes(before: RollbackReview | None, review: RollbackReview) -> None:
    known = {} if before is None else before.broken
    for revision, faults in review.broken.items():
        if known.get(revision) != faults:
            _log.error(
                "rollback_target_broken", model=review.model, revision=revision, faults=faults
            )
    for revision in known.keys() - review.broken.keys():
        _log.info("rollback_target_sound", model=review.model, revision=revision)


def rollback_review_to_wire(review: RollbackReview) -> pb.RollbackReview:
    return pb.RollbackReview(
        model=review.model,
        reviewed_at=timestamp(unix_ns(review.at)),
        current_revision=review.current_revision,
        targets=[
            pb.ReviewedTarget(
                revision=each.stored.deployment.revision,
                is_default=each.is_default,
                faults=each.faults,
            )
            for each in review.targets
        ],
    )


def target_to_wire(target: RollbackTarget) -> pb.RollbackTarget:
    return pb.RollbackTarget(
        revision=revision_to_wire(target.stored),
        is_default=target.is_default,
        faults=target.faults,
    )
