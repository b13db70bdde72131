"""The revisions to which rollbacks can return: checked again and again, and listed with faults."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.decisions.preflight import targets
from registry.decisions.rollback import needed_revision, rollback_targets
from registry.server.live_state import LiveState
from registry.server.preflight import Preflight
from registry.server.wire import revision_to_wire
from registry.store import revisions
from registry.store.database import reading
from registry.store.revisions import StoredRevision
from understudy.domain.changes import Rollback
from understudy.domain.errors import NotFoundError, RefusedError, UnderstudyError
from understudy.registry.v1 import registry_pb2 as pb

_PAST_REVISIONS = 50  # searched for contents that differ

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RollbackTarget:
    """A revision to which a rollback can return, unless it has faults."""

    stored: StoredRevision
    is_default: bool  # of a rollback that names no revision
    faults: tuple[str, ...]  # reasons for which a rollback to it would be refused


@dataclass(slots=True, eq=False)
class RollbackTargets:
    """Checks rollback targets by planning the rollback. For one event loop."""

    live: LiveState
    changer: DeploymentChanger
    preflight: Preflight
    review_every_s: float
    _broken: dict[str, dict[int, tuple[str, ...]]] = field(default_factory=dict)

    async def review(self) -> None:
        """Check the targets of all deployments now and then, without end."""
        while True:
            await asyncio.sleep(self.review_every_s)
            for deployment in self.live.deployments():
                try:
                    self._log_changes(deployment.model, await self.of_model(deployment.model))
                except Exception:  # noqa: BLE001 - boundary of a task: one damaged model hides no other
                    _log.exception("rollback_targets_unread", model=deployment.model)

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
        asked = ChangeRequest(model, Rollback(number), "", "", expect_revision=None, dry_run=True)
        try:
            planned = await self.live.run(lambda: self.changer.change(asked))
        except UnderstudyError as error:
            return (str(error),)
        needed = targets(planned.before, planned.after)
        return tuple(await self.preflight.faults_of_all(model, needed))

    def _log_changes(self, model: str, found: list[RollbackTarget]) -> None:
        before = self._broken.get(model, {})
        now = {each.stored.deployment.revision: each.faults for each in found if each.faults}
        for revision, faults in now.items():
            if before.get(revision) != faults:
                _log.error("rollback_target_broken", model=model, revision=revision, faults=faults)
        for revision in before.keys() - now.keys():
            _log.info("rollback_target_sound", model=model, revision=revision)
        self._broken[model] = now


def target_to_wire(target: RollbackTarget) -> pb.RollbackTarget:
    return pb.RollbackTarget(
        revision=revision_to_wire(target.stored),
        is_default=target.is_default,
        faults=target.faults,
    )
