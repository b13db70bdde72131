"""The deployment of the router's tests, in the values that a registry would send."""

from collections.abc import Mapping, Sequence

from router.decisions.effective import ArmVersion
from understudy.domain.deployments import Arm, Deployment
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.request_contract import RequestContract, RequestFeature
from understudy.domain.snapshots import ScorerProcess, ScorerState, VersionSpec
from understudy.domain.versions import DYNAMIC, ScoreOutput, TensorSpec, VersionRef

MODEL = "fraud"
UTC_S = 1_800_000_000.0
VIEW = FeatureView(
    name="user",
    version=1,
    entity="user",
    features=(
        Feature("amount", FeatureDtype.FLOAT32, default=0.0, max_age_s=3600.0),
        Feature("count", FeatureDtype.FLOAT32),
    ),
)


def spec(number: int, *, view: FeatureView = VIEW) -> VersionSpec:
    return VersionSpec(
        ref=VersionRef(MODEL, number),
        artifact_digest=f"{number:064x}",
        files=(),
        provenance_digest="p" * 64,
        inputs=(TensorSpec("x", "FP32", (DYNAMIC, len(view.features))),),
        outputs=(TensorSpec("score", "FP32", (DYNAMIC, 1)),),
        feature_set=tuple(FeatureRef(view.name, view.version, f.name) for f in view.features),
        feature_views=(view,),
        score_output=ScoreOutput("score"),
        golden_tolerance=1e-5,
    )


CONTRACT = RequestContract(
    required_entities=("user",),
    entities=("user",),
    features=(
        RequestFeature("amount", FeatureDtype.FLOAT32),
        RequestFeature("count", FeatureDtype.FLOAT32),
    ),
    outputs=("score",),
    unit_entity="user",
)


def deployment(**changes: object) -> Deployment:
    usual = {"model": MODEL, "revision": 1, "champion": 1, "salt": "s", "contract": CONTRACT}
    return Deployment(**{**usual, **changes})  # type: ignore[arg-type]  # a test states only what matters


def as_champion(version: int) -> ArmVersion:
    return ArmVersion(Arm.CHAMPION, version)


def as_challenger(version: int) -> ArmVersion:
    return ArmVersion(Arm.CHALLENGER, version)


def ready_processes(ready: Mapping[int, Sequence[str]]) -> tuple[ScorerProcess, ...]:
    """Return a registry's report of ready scorers, given their addresses by version."""
    return tuple(
        ScorerProcess(
            ref=VersionRef(MODEL, number),
            replica=index,
            address=address,
            state=ScorerState.READY,
            artifact_digest="",
            host_id="h",
            pid=1,
        )
        for number, addresses in ready.items()
        for index, address in enumerate(addresses)
    )
