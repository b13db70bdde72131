"""Changes of deployments: planned, checked, made, logged; and their messages."""

from dataclasses import dataclass, replace

import structlog

from registry.change_deployment import Changed, ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.decisions.permissions import require_override
from registry.decisions.preflight import targets
from registry.decisions.succession import Watched, numbers_taken
from registry.server.authentication import proven_caller
from registry.server.callers import checked_reason, log_facts
from registry.server.live_state import LiveState
from registry.server.preflight import Preflight
from understudy.control.change_wire import change_from_wire
from understudy.control.wire import deployment_to_wire
from understudy.control.wire_values import value_or_none
from understudy.domain.changes import Revision
from understudy.domain.deployments import Deployment
from understudy.domain.placement import MOST_LABELS
from understudy.domain.versions import checked_model_name
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.parsing import RequestForm

# Counted on the wire: a change that is refused, for whatever reason, has been made into values before.
_MOST_ARMS = 100  # challengers, or shadows; reports of routers have room for as many
_MOST_RULES = 256
_MOST_ENTITIES = 32  # the limits of a Score
_MOST_FEATURES = 4_096
_MOST_MARGINS = 64  # of a shadow
CHANGE_FORM = RequestForm(
    pb.ChangeDeploymentRequest,
    {
        "set_rules.rules": _MOST_RULES,
        "set_host_labels.labels": MOST_LABELS,
        "set_shadow.margins.margins": _MOST_MARGINS,
        "change_contract.require_entities": _MOST_ENTITIES,
        "change_contract.release_entities": _MOST_ENTITIES,
        "change_contract.accept_entities": _MOST_ENTITIES,
        "change_contract.refuse_entities": _MOST_ENTITIES,
        "change_contract.accept_features": _MOST_FEATURES,
        "change_contract.refuse_features": _MOST_FEATURES,
        "apply.challengers": _MOST_ARMS,
        "apply.shadows": _MOST_ARMS,
        "apply.shadows.margins.margins": _MOST_ARMS * 8,
        "apply.rules": _MOST_RULES,
        "apply.host_labels": MOST_LABELS,
    },
    uncounted_bytes=4 * _MOST_RULES,  # of rules with an operator, which is the least of a sound one
)

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Changes:
    """Makes changes whose versions can act. Nothing is locked while these are checked."""

    live: LiveState
    changer: DeploymentChanger
    preflight: Preflight

    async def change(self, asked: ChangeRequest) -> Changed:
        """Make the change, or return its effect if it is a dry run.

        Raises:
            RefusedError: a version that the change gives a part cannot act.
            UnderstudyError: see `DeploymentChanger.change`.
        """
        planned = await self.live.run(lambda: self.changer.change(replace(asked, dry_run=True)))
        able = targets(planned.before, planned.after)
        await self.preflight.check(planned.before, planned.after)
        if asked.dry_run or planned.is_none:
            return planned
        checked = replace(asked, able=able)
        changed = await self.live.change(lambda: self.changer.change(checked), models=[asked.model])
        if changed.applied:
            _log_change(asked, changed)
        return changed


def change_request_from_wire(
    request: pb.ChangeDeploymentRequest, actor: Actor, watched: Watched
) -> ChangeRequest:
    """Return the request.

    Raises:
        InvalidInputError: the model, the change or a reason is invalid.
        PermissionRefusedError: it breaks limits, and no role of the proven caller allows that.
    """
    proven = proven_caller()
    if request.HasField("override_reason") and proven is not None:
        require_override(proven.identity)
    return ChangeRequest(
        model=checked_model_name(request.model),
        change=change_from_wire(request),
        reason=checked_reason(request.reason),
        actor=actor,
        override_reason=(
            checked_reason(request.override_reason, "override_reason")
            if request.HasField("override_reason")
            else None
        ),
        expect_revision=value_or_none(request, "expect_revision"),
        dry_run=request.dry_run,
        numbers_taken=numbers_taken(watched),
    )


def changed_to_wire(changed: Changed) -> pb.ChangeDeploymentResponse:
    return pb.ChangeDeploymentResponse(
        before=_deployed(changed.before),
        after=_deployed(changed.after),
        applied=changed.applied,
        revision=changed.after.revision,
        from_revision=changed.from_revision,
    )


def _deployed(revision: Revision | None) -> pb.Deployment | None:
    return deployment_to_wire(revision) if isinstance(revision, Deployment) else None


def _log_change(asked: ChangeRequest, changed: Changed) -> None:
    _log.info(
        "deployment_changed",
        model=asked.model,
        **log_facts(asked.actor),
        change=type(asked.change).__name__,
        from_revision=changed.from_revision,
        to_revision=changed.after.revision,
        digest=changed.after.digest,
        overridden=[each.name for each in changed.overridden],
        audit_digest=changed.audit_digest,  # stored elsewhere too, it reveals a rewritten log
    )
