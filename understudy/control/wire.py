"""Translation of the registry's messages to domain values and back, for all of its clients."""

from collections.abc import Iterable
from functools import lru_cache

from understudy.control.contract_wire import contract_from_wire, contract_to_wire
from understudy.control.margins_wire import margins_from_wire, margins_to_wire
from understudy.control.report_wire import (
    acting_from_wire,
    acting_to_wire,
    host_from_wire,
    host_to_wire,
    scorer_from_wire,
    scorer_to_wire,
)
from understudy.control.wire_enums import (
    DTYPE_OF,
    DTYPES,
    NEWS_OF,
    OPERATOR_OF,
    OPERATORS,
    STATE_OF,
)
from understudy.control.wire_values import ref_from_wire, ref_to_wire, value_or_none
from understudy.domain.deployments import Challenger, Deployment, Fallback, Rule, Shadow
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import (
    FeatureRef,
    FeatureView,
    view_from_canonical_json,
)
from understudy.domain.snapshots import Epoch, Snapshot, Undeployed, VersionSpec
from understudy.domain.versions import ArtifactFile, ScoreOutput, TensorSpec
from understudy.registry.v1 import registry_pb2 as pb

_KEPT = 1_024  # views, and feature sets


def snapshot_from_wire(message: pb.Snapshot) -> Snapshot:
    """Return the snapshot.

    Raises:
        InvalidInputError, ValueError, KeyError: the message is not one that a registry sends.
    """
    if not message.lineage:  # an empty file or message is no state, and must not look like one
        raise InvalidInputError.of("lineage", read="", accepted="the id of a registry")
    return Snapshot(
        lineage=message.lineage,
        sequence=message.sequence,
        deployments=tuple(deployment_from_wire(each) for each in message.deployments),
        versions=tuple(version_from_wire(each) for each in message.versions),
        # One host's invalid report must not keep every router from the rest of the state.
        scorers=tuple(scorer_from_wire(each) for each in message.scorers if each.state in STATE_OF),
        undeployed=tuple(Undeployed(each.model, each.revision) for each in message.undeployed),
        epochs=tuple(Epoch(each.id, each.last_change) for each in message.epochs),
        succeeds=tuple(message.succeeds),
        hosts=tuple(host_from_wire(each) for each in message.hosts if each.news in NEWS_OF),
        acting=tuple(acting_from_wire(each) for each in message.acting),
    )


def snapshot_to_wire(snapshot: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        lineage=snapshot.lineage,
        sequence=snapshot.sequence,
        deployments=[deployment_to_wire(each) for each in snapshot.deployments],
        versions=[version_to_wire(each) for each in snapshot.versions],
        scorers=[scorer_to_wire(each) for each in snapshot.scorers],
        undeployed=[pb.Undeployed(model=e.model, revision=e.revision) for e in snapshot.undeployed],
        epochs=[pb.Epoch(id=e.id, last_change=e.last_change) for e in snapshot.epochs],
        succeeds=snapshot.succeeds,
        hosts=[host_to_wire(each) for each in snapshot.hosts],
        acting=[acting_to_wire(each) for each in snapshot.acting],
    )


def deployment_from_wire(message: pb.Deployment) -> Deployment:
    """Return the revision.

    Raises:
        InvalidInputError: it contradicts itself, or has no contract: without one a router would
            refuse every caller.
    """
    if not message.HasField("contract"):
        raise InvalidInputError([Fault("contract", "nothing", "a request contract")])
    return Deployment(
        model=message.model,
        revision=message.revision,
        champion=message.champion,
        salt=message.salt,
        challengers=challengers_from_wire(message.challengers),
        shadows=shadows_from_wire(message.shadows),
        fallback=fallback_from_wire(message.fallback),
        decision_threshold=value_or_none(message, "decision_threshold"),
        rules=tuple(rule_from_wire(rule) for rule in message.rules),
        host_labels=tuple(message.host_labels),
        standby=tuple(message.standby),
        blocked=tuple(message.blocked),
        contract=contract_from_wire(message.contract),
    )


def deployment_to_wire(deployment: Deployment) -> pb.Deployment:
    return pb.Deployment(
        model=deployment.model,
        revision=deployment.revision,
        digest=deployment.digest,
        champion=deployment.champion,
        challengers=challengers_to_wire(deployment.challengers),
        shadows=shadows_to_wire(deployment.shadows),
        fallback=fallback_to_wire(deployment.fallback),
        salt=deployment.salt,
        decision_threshold=deployment.decision_threshold,
        rules=[rule_to_wire(rule) for rule in deployment.rules],
        host_labels=deployment.host_labels,
        standby=deployment.standby,
        blocked=deployment.blocked,
        contract=contract_to_wire(deployment.contract),
    )


def challengers_from_wire(messages: Iterable[pb.Challenger]) -> tuple[Challenger, ...]:
    return tuple(Challenger(each.version, each.weight_bp) for each in messages)


def challengers_to_wire(challengers: Iterable[Challenger]) -> list[pb.Challenger]:
    return [pb.Challenger(version=c.version, weight_bp=c.weight_bp) for c in challengers]


def shadows_from_wire(messages: Iterable[pb.Shadow]) -> tuple[Shadow, ...]:
    return tuple(
        Shadow(each.version, each.sample_bp, each.refuses_defaults, margins_from_wire(each))
        for each in messages
    )


def shadows_to_wire(shadows: Iterable[Shadow]) -> list[pb.Shadow]:
    return [
        pb.Shadow(
            version=s.version,
            sample_bp=s.sample_bp,
            refuses_defaults=s.refuses_defaults,
            margins=margins_to_wire(s.margins),
        )
        for s in shadows
    ]


def rule_from_wire(message: pb.Rule) -> Rule:
    return Rule(
        name=message.name,
        feature=message.feature,
        operator=OPERATOR_OF[message.operator],
        value=message.value,
        action=message.action,
        score=message.score,
        request_dtype=(
            DTYPE_OF[message.request_dtype] if message.HasField("request_dtype") else None
        ),
    )


def rule_to_wire(rule: Rule) -> pb.Rule:
    return pb.Rule(
        name=rule.name,
        feature=rule.feature,
        operator=OPERATORS[rule.operator],
        value=rule.value,
        action=rule.action,
        score=rule.score,
        request_dtype=None if rule.request_dtype is None else DTYPES[rule.request_dtype],
    )


def fallback_from_wire(message: pb.Fallback) -> Fallback:
    return Fallback(
        version=value_or_none(message, "version"),
        last_score_max_age_s=value_or_none(message, "last_score_max_age_s"),
        constant_score=value_or_none(message, "constant_score"),
    )


def fallback_to_wire(fallback: Fallback) -> pb.Fallback:
    return pb.Fallback(
        version=fallback.version,
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
        feature_set=_feature_set_of(tuple(message.feature_set)),
        feature_views=tuple(_view_of(view.canonical_json) for view in message.feature_views),
        score_output=ScoreOutput(message.score_output.output, message.score_output.column),
        golden_tolerance=message.golden_tolerance,
        column_inputs=tuple(message.column_inputs),
        joins_rows=message.joins_rows,
    )


def version_to_wire(spec: VersionSpec) -> pb.Version:
    """Return the message without the parts that only the registry knows: record, actor, time."""
    return pb.Version(
        ref=ref_to_wire(spec.ref),
        artifact_digest=spec.artifact_digest,
        files=[file_to_wire(file) for file in spec.files],
        provenance_digest=spec.provenance_digest,
        inputs=[tensor_to_wire(tensor) for tensor in spec.inputs],
        outputs=[tensor_to_wire(tensor) for tensor in spec.outputs],
        feature_set=[str(ref) for ref in spec.feature_set],
        feature_views=[view_to_wire(view) for view in spec.feature_views],
        score_output=pb.ScoreOutput(
            output=spec.score_output.output, column=spec.score_output.column
        ),
        golden_tolerance=spec.golden_tolerance,
        column_inputs=spec.column_inputs,
        joins_rows=spec.joins_rows,
    )


def file_from_wire(message: pb.ArtifactFile) -> ArtifactFile:
    return ArtifactFile(message.path, message.sha256, message.size_bytes)


def file_to_wire(file: ArtifactFile) -> pb.ArtifactFile:
    return pb.ArtifactFile(path=file.path, sha256=file.sha256, size_bytes=file.size_bytes)


def tensor_from_wire(message: pb.TensorSpec) -> TensorSpec:
    return TensorSpec(message.name, message.datatype, tuple(message.shape))


def tensor_to_wire(tensor: TensorSpec) -> pb.TensorSpec:
    return pb.TensorSpec(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def view_to_wire(view: FeatureView) -> pb.FeatureViewDefinition:
    canonical_json, digest = _definition_of(view)
    return pb.FeatureViewDefinition(canonical_json=canonical_json, digest=digest)


# Views and feature sets never change, and each state of a registry names the same ones: reading or
# writing them anew would be nearly all of the work on a state, on the event loop that serves calls.
@lru_cache(maxsize=_KEPT)
def _feature_set_of(texts: tuple[str, ...]) -> tuple[FeatureRef, ...]:
    return tuple(FeatureRef.parse(text) for text in texts)


@lru_cache(maxsize=_KEPT)
def _view_of(canonical_json: str) -> FeatureView:
    return view_from_canonical_json(canonical_json)


@lru_cache(maxsize=_KEPT)
def _definition_of(view: FeatureView) -> tuple[str, str]:
    return view.canonical_json, view.digest
