"""Translation of the registry's messages to domain values and back, for all of its clients."""

from google.protobuf.timestamp_pb2 import Timestamp

from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
)
from understudy.domain.features import (
    FeatureRef,
    FeatureView,
    view_from_canonical_json,
)
from understudy.domain.snapshots import ScorerProcess, ScorerState, Snapshot, VersionSpec
from understudy.domain.versions import ArtifactFile, ScoreOutput, TensorSpec, VersionRef
from understudy.registry.v1 import registry_pb2 as pb


def snapshot_from_wire(message: pb.Snapshot) -> Snapshot:
    """Return the snapshot.

    Raises:
        InvalidInputError, ValueError, KeyError: the message is not one that a registry sends.
    """
    return Snapshot(
        sequence=message.sequence,
        deployments=tuple(deployment_from_wire(each) for each in message.deployments),
        versions=tuple(version_from_wire(each) for each in message.versions),
        # One host's invalid report must not keep every router from the rest of the state.
        scorers=tuple(
            scorer_from_wire(each) for each in message.scorers if each.state in _STATE_OF
        ),
    )


def snapshot_to_wire(snapshot: Snapshot, versions: list[pb.Version]) -> pb.Snapshot:
    """Return the message; `versions` are passed through as the registry stored them."""
    return pb.Snapshot(
        sequence=snapshot.sequence,
        deployments=[deployment_to_wire(each) for each in snapshot.deployments],
        versions=versions,
        scorers=[scorer_to_wire(each) for each in snapshot.scorers],
    )


def deployment_from_wire(message: pb.Deployment) -> Deployment:
    return Deployment(
        model=message.model,
        revision=message.revision,
        champion=message.champion,
        salt=message.salt,
        challengers=tuple(Challenger(c.version, c.weight_bp) for c in message.challengers),
        shadows=tuple(Shadow(s.version, s.sample_bp) for s in message.shadows),
        fallback=fallback_from_wire(message.fallback),
        decision_threshold=(
            message.decision_threshold if message.HasField("decision_threshold") else None
        ),
        rules=tuple(rule_from_wire(rule) for rule in message.rules),
        standby=tuple(message.standby),
    )


def deployment_to_wire(deployment: Deployment) -> pb.Deployment:
    return pb.Deployment(
        model=deployment.model,
        revision=deployment.revision,
        digest=deployment.digest,
        champion=deployment.champion,
        challengers=[
            pb.Challenger(version=c.version, weight_bp=c.weight_bp) for c in deployment.challengers
        ],
        shadows=[pb.Shadow(version=s.version, sample_bp=s.sample_bp) for s in deployment.shadows],
        fallback=fallback_to_wire(deployment.fallback),
        salt=deployment.salt,
        decision_threshold=deployment.decision_threshold,
        rules=[rule_to_wire(rule) for rule in deployment.rules],
        standby=deployment.standby,
    )


def rule_from_wire(message: pb.Rule) -> Rule:
    return Rule(
        name=message.name,
        feature=message.feature,
        operator=RuleOperator(message.operator),
        value=message.value,
        action=message.action,
        score=message.score,
    )


def rule_to_wire(rule: Rule) -> pb.Rule:
    return pb.Rule(
        name=rule.name,
        feature=rule.feature,
        operator=rule.operator.value,
        value=rule.value,
        action=rule.action,
        score=rule.score,
    )


def fallback_from_wire(message: pb.Fallback) -> Fallback:
    return Fallback(
        version=message.version or None,
        last_score=message.last_score,
        last_score_max_age_s=message.last_score_max_age_s or Fallback().last_score_max_age_s,
        constant_score=message.constant_score if message.HasField("constant_score") else None,
    )


def fallback_to_wire(fallback: Fallback) -> pb.Fallback:
    return pb.Fallback(
        version=fallback.version or 0,
        last_score=fallback.last_score,
        last_score_max_age_s=fallback.last_score_max_age_s,
        constant_score=fallback.constant_score,
    )


def version_from_wire(message: pb.Version) -> VersionSpec:
    return VersionSpec(
        ref=ref_from_wire(message.ref),
        artifact_digest=message.artifact_digest,
        files=tuple(file_from_wire(file) for file in message.files),
        provenance_digest=message.provenance_digest,
        inputs=tuple(tensor_from_wire(tensor) for tensor in message.inputs),
        outputs=tuple(tensor_from_wire(tensor) for tensor in message.outputs),
        feature_set=tuple(FeatureRef.parse(text) for text in message.feature_set),
        feature_views=tuple(
            view_from_canonical_json(view.canonical_json) for view in message.feature_views
        ),
        score_output=ScoreOutput(message.score_output.output, message.score_output.column),
        golden_tolerance=message.golden_tolerance,
    )


def file_from_wire(message: pb.ArtifactFile) -> ArtifactFile:
    return ArtifactFile(message.path, message.sha256, message.size_bytes)


def file_to_wire(file: ArtifactFile) -> pb.ArtifactFile:
    return pb.ArtifactFile(path=file.path, sha256=file.sha256, size_bytes=file.size_bytes)


def tensor_from_wire(message: pb.TensorSpec) -> TensorSpec:
    return TensorSpec(message.name, message.datatype, tuple(message.shape))


def tensor_to_wire(tensor: TensorSpec) -> pb.TensorSpec:
    return pb.TensorSpec(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def ref_from_wire(message: pb.VersionRef) -> VersionRef:
    return VersionRef(message.model, message.number)


def ref_to_wire(ref: VersionRef) -> pb.VersionRef:
    return pb.VersionRef(model=ref.model, number=ref.number)


def view_to_wire(view: FeatureView) -> pb.FeatureViewDefinition:
    return pb.FeatureViewDefinition(canonical_json=view.canonical_json, digest=view.digest)


_STATES = {state: pb.ScorerState.Value(f"SCORER_STATE_{state.name}") for state in ScorerState}
_STATE_OF = {number: state for state, number in _STATES.items()}


def scorer_from_wire(message: pb.ScorerProcess) -> ScorerProcess:
    return ScorerProcess(
        ref=ref_from_wire(message.ref),
        replica=message.replica,
        address=message.address,
        state=_STATE_OF[message.state],
        artifact_digest=message.artifact_digest,
        restarts=message.restarts,
        last_error=message.last_error,
        started_at_s=message.started_at.ToNanoseconds() / 1e9,
        host_id=message.host_id,
        pid=message.pid,
    )


def scorer_to_wire(process: ScorerProcess) -> pb.ScorerProcess:
    started_at = Timestamp()
    started_at.FromNanoseconds(round(process.started_at_s * 1e9))
    return pb.ScorerProcess(
        ref=ref_to_wire(process.ref),
        replica=process.replica,
        address=process.address,
        state=_STATES[process.state],
        artifact_digest=process.artifact_digest,
        restarts=process.restarts,
        last_error=process.last_error,
        started_at=started_at,
        host_id=process.host_id,
        pid=process.pid,
    )
