"""Calls that a registry refuses for what they contain."""

from collections.abc import Sequence

from benchmarks.model import MODEL
from benchmarks.refused_kinds import MIB, NO_MESSAGE, Kind, Shape, unknown_field
from understudy.registry.v1 import registry_pb2 as pb

REGISTRY = "/understudy.registry.v1.RegistryService/"
_READY = pb.SCORER_STATE_READY


def refused_by_registry() -> Sequence[Kind]:
    return (*_reports(), *_changes(), *_submissions())


def _reports() -> Sequence[Kind]:
    empty = pb.ReportScorersRequest(host_id="h", processes=[pb.ScorerProcess()] * 10_001)
    sound = pb.ScorerProcess(
        ref=pb.VersionRef(model=MODEL, number=1),
        address="unix:/run/scorer.sock",
        state=_READY,
        last_error="x" * 1000,
    )
    processes = [sound] * 255 + [pb.ScorerProcess(state=_READY)]
    faulty = pb.ReportScorersRequest(host_id="h", processes=processes)
    served = pb.RouterModelState(
        model=MODEL,
        revision=1,
        champion=1,
        effective=[pb.Challenger(version=2, weight_bp=1_000)],
    )
    states = [served] * 999 + [pb.RouterModelState(revision=1)]
    routers = pb.ReportRouterRequest(router_id="r", models=states)
    return (
        _kind("ReportScorers, 10,001 scorers", empty),
        _kind("ReportScorers, 256 scorers, the last without an address", faulty),
        _kind("ReportRouter, 1,000 models, the last without a name", routers),
    )


def _changes() -> Sequence[Kind]:
    rules = [pb.Rule(name=f"r{at}", operator=pb.RULE_OPERATOR_GREATER) for at in range(4_900)]
    many = pb.ChangeDeploymentRequest(model=MODEL, set_rules=pb.SetRules(rules=rules))
    reason = "x" * (8 * MIB - 64)
    wordy = pb.ChangeDeploymentRequest(model=MODEL, promote=pb.Promote(version=1), reason=reason)
    return (
        _kind("ChangeDeployment, 4,900 rules", many),
        _kind("ChangeDeployment, a reason of 8 MB", wordy),
        Kind(
            "registry: ChangeDeployment, an unknown field of 8 MB",
            *(REGISTRY + "ChangeDeployment", unknown_field(8 * MIB - 64)),
        ),
        Kind("registry: ChangeDeployment, no message", REGISTRY + "ChangeDeployment", NO_MESSAGE),
        Kind("registry: GetStatus, no message", REGISTRY + "GetStatus", NO_MESSAGE),
    )


def _submissions() -> Sequence[Kind]:
    files = [pb.ArtifactFile(path="../x")] * 9_000
    record = "{" + ",".join(f'"k{at}":1' for at in range(600_000)) + "}"
    return [
        Kind(
            f"registry: CheckVersion, {name}",
            REGISTRY + "CheckVersion",
            pb.CheckVersionRequest(registration=registration).SerializeToString(),
            Shape.UPLOAD,
        )
        for name, registration in (
            ("9,000 files with faulty paths", pb.Registration(model=MODEL, files=files)),
            ("a record of 7 MB", pb.Registration(model=MODEL, provenance_json=record)),
        )
    ]


def _kind(
    name: str,
    request: pb.ReportScorersRequest | pb.ReportRouterRequest | pb.ChangeDeploymentRequest,
) -> Kind:
    rpc = name.partition(",")[0]
    return Kind(f"registry: {name}", REGISTRY + rpc, request.SerializeToString())
