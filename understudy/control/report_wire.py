"""Translation of the reports of scorer hosts and routers to the registry's messages and back."""

from understudy.control.wire_enums import (
    ARM_OF,
    ARMS,
    NEWS,
    NEWS_OF,
    REFUSAL_REASON_OF,
    REFUSAL_REASONS,
    STATE_OF,
    STATES,
    WITHHELD_REASON_OF,
    WITHHELD_REASONS,
)
from understudy.control.wire_values import ref_from_wire, ref_to_wire, timestamp, value_or_none
from understudy.domain.acting import ActingChampion, WithheldReason
from understudy.domain.belief import Refusal, WatcherBelief
from understudy.domain.deployments import Challenger
from understudy.domain.placement import Placement
from understudy.domain.reports import (
    RouterModelState,
    ScorersReport,
    UnservableVersion,
    WithheldPart,
)
from understudy.domain.snapshots import ScorerHost, ScorerProcess
from understudy.registry.v1 import registry_pb2 as pb


def scorer_from_wire(message: pb.ScorerProcess) -> ScorerProcess:
    """Return the process.

    Raises:
        KeyError: its state is unknown.
    """
    return ScorerProcess(
        ref=ref_from_wire(message.ref),
        replica=message.replica,
        address=message.address,
        state=STATE_OF[message.state],
        artifact_digest=message.artifact_digest,
        host_id=message.host_id,
        restarts=message.restarts,
        loaded_digest=value_or_none(message, "loaded_digest"),
        last_error=value_or_none(message, "last_error"),
        started_at_ns=(
            message.started_at.ToNanoseconds() if message.HasField("started_at") else None
        ),
        pid=value_or_none(message, "pid"),
    )


def scorer_to_wire(process: ScorerProcess) -> pb.ScorerProcess:
    return pb.ScorerProcess(
        ref=ref_to_wire(process.ref),
        replica=process.replica,
        address=process.address,
        state=STATES[process.state],
        artifact_digest=process.artifact_digest,
        loaded_digest=process.loaded_digest,
        restarts=process.restarts,
        last_error=process.last_error,
        started_at=None if process.started_at_ns is None else timestamp(process.started_at_ns),
        host_id=process.host_id,
        pid=process.pid,
    )


def host_from_wire(message: pb.ScorerHost) -> ScorerHost:
    """Return the host.

    Raises:
        KeyError: its news is unknown.
    """
    silent_since = message.silent_since
    return ScorerHost(
        message.host_id,
        NEWS_OF[message.news],
        silent_since.ToNanoseconds() if message.HasField("silent_since") else None,
        placement_from_wire(message.placement),
    )


def host_to_wire(host: ScorerHost) -> pb.ScorerHost:
    since_ns = host.silent_since_ns
    return pb.ScorerHost(
        host_id=host.host_id,
        news=NEWS[host.news],
        silent_since=None if since_ns is None else timestamp(since_ns),
        placement=placement_to_wire(host.placement),
    )


def placement_from_wire(message: pb.Placement) -> Placement:
    return Placement(tuple(message.models), tuple(message.labels))


def placement_to_wire(placement: Placement) -> pb.Placement:
    return pb.Placement(models=placement.models, labels=placement.labels)


def acting_from_wire(message: pb.ActingChampion) -> ActingChampion:
    because = value_or_none(message, "because")
    return ActingChampion(
        model=message.model,
        version=message.version,
        revision=message.revision,
        since_ns=message.since.ToNanoseconds(),
        # An unknown reason of a newer registry is still a reason.
        because=None
        if because is None
        else WITHHELD_REASON_OF.get(because, WithheldReason.NOT_READY),
    )


def acting_to_wire(acting: ActingChampion) -> pb.ActingChampion:
    because = None if acting.because is None else WITHHELD_REASONS[acting.because]
    return pb.ActingChampion(
        model=acting.model,
        version=acting.version,
        revision=acting.revision,
        since=timestamp(acting.since_ns),
        because=because,
    )


def scorers_report_to_wire(report: ScorersReport) -> pb.ReportScorersRequest:
    return pb.ReportScorersRequest(
        host_id=report.host_id,
        processes=[scorer_to_wire(each) for each in report.processes],
        belief=belief_to_wire(report.belief),
        placement=placement_to_wire(report.placement),
    )


def belief_to_wire(belief: WatcherBelief | None) -> pb.WatcherBelief | None:
    if belief is None:
        return None
    return pb.WatcherBelief(lineage=belief.lineage, refusal=refusal_to_wire(belief.refusal))


def belief_from_wire(
    message: pb.ReportScorersRequest | pb.ReportRouterRequest,
) -> WatcherBelief | None:
    """Return the belief that a report contains, or None if it does not say.

    Raises:
        KeyError: the reason of the refusal is unknown.
    """
    if not message.HasField("belief"):
        return None
    belief = message.belief
    return WatcherBelief(
        value_or_none(belief, "lineage"),
        refusal_from_wire(belief.refusal) if belief.HasField("refusal") else None,
    )


def refusal_to_wire(refusal: Refusal | None) -> pb.SnapshotRefusal | None:
    if refusal is None:
        return None
    return pb.SnapshotRefusal(
        reason=REFUSAL_REASONS[refusal.reason], lineage=refusal.lineage, why=refusal.why
    )


def refusal_from_wire(message: pb.SnapshotRefusal) -> Refusal:
    """Return the refusal.

    Raises:
        KeyError: its reason is unknown.
    """
    return Refusal(REFUSAL_REASON_OF[message.reason], message.lineage, message.why)


def model_state_from_wire(message: pb.RouterModelState) -> RouterModelState:
    """Return a router's report about one model.

    Raises:
        KeyError: an arm or a reason is unknown.
    """
    return RouterModelState(
        model=message.model,
        revision=message.revision,
        champion=value_or_none(message, "champion"),
        effective=tuple(Challenger(c.version, c.weight_bp) for c in message.effective),
        withheld=tuple(withheld_from_wire(each) for each in message.withheld),
        unservable=tuple(UnservableVersion(e.version, e.why) for e in message.unservable),
    )


def model_state_to_wire(state: RouterModelState) -> pb.RouterModelState:
    return pb.RouterModelState(
        model=state.model,
        revision=state.revision,
        champion=state.champion,
        effective=[
            pb.Challenger(version=c.version, weight_bp=c.weight_bp) for c in state.effective
        ],
        withheld=[
            pb.WithheldPart(
                arm=ARMS[part.arm],
                version=part.version,
                declared_bp=part.declared_bp,
                reason=WITHHELD_REASONS[part.reason],
                why=part.why,
            )
            for part in state.withheld
        ],
        unservable=[
            pb.UnservableVersion(version=each.version, why=each.why) for each in state.unservable
        ],
    )


def withheld_from_wire(message: pb.WithheldPart) -> WithheldPart:
    """Return the part.

    Raises:
        KeyError: its arm or the reason is unknown.
    """
    return WithheldPart(
        arm=ARM_OF[message.arm],
        version=message.version,
        reason=WITHHELD_REASON_OF[message.reason],
        declared_bp=value_or_none(message, "declared_bp"),
        why=message.why,
    )
