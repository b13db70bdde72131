"""The declared and the observed state, as one message for operators."""

from registry.decisions.preflight import unplaced_models
from registry.server.database_review import Reviewed, review_to_wire
from registry.server.live_state import LiveState
from registry.server.report_wire import router_to_wire
from registry.server.rollback_targets import RollbackTargets, rollback_review_to_wire
from understudy.control.report_wire import (
    acting_to_wire,
    belief_to_wire,
    host_to_wire,
    scorer_to_wire,
)
from understudy.control.wire import deployment_to_wire
from understudy.registry.v1 import registry_pb2 as pb


def status_of(
    live: LiveState, rollback_targets: RollbackTargets, model: str | None, reviewed: Reviewed | None
) -> pb.GetStatusResponse:
    """Return the state of one model, or of all, and the latest reviews."""
    return pb.GetStatusResponse(
        review=review_to_wire(reviewed),
        lineage=live.snapshot.lineage,
        sequence=live.snapshot.sequence,
        deployments=[deployment_to_wire(each) for each in live.deployments(model)],
        scorers=[scorer_to_wire(each) for each in live.scorers(model)],
        routers=[router_to_wire(each, model) for each in live.routers()],
        acting=[
            acting_to_wire(each) for each in live.snapshot.acting if model in {None, each.model}
        ],
        hosts=[host_to_wire(each) for each in live.observed.hosts()],
        host_beliefs=[
            pb.HostBelief(host_id=host_id, belief=belief_to_wire(belief))
            for host_id, belief in live.observed.beliefs().items()
        ],
        rollback_reviews=[
            rollback_review_to_wire(each) for each in rollback_targets.reviews(model)
        ],
        unplaced=unplaced_models(live.deployments(model), live.observed.hosts()),
    )
