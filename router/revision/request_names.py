"""The names that a request to one model may use, over all versions that may answer it."""

from collections.abc import Mapping
from dataclasses import dataclass

from router.batches.version_plan import VersionPlan
from understudy.domain.deployments import Deployment
from understudy.features.serving.assembly import AssemblyPlan


@dataclass(frozen=True, slots=True, eq=False)
class RequestNames:
    entity_types: tuple[str, ...]  # by which features are read; the champion's first one leads
    feature_names: frozenset[str]
    output_names: tuple[str, ...]
    plans: tuple[AssemblyPlan, ...]  # each checks the values of its own features


def request_names(deployment: Deployment, versions: Mapping[int, VersionPlan]) -> RequestNames:
    """Return the names that the plans of `versions` and the rules of `deployment` know."""
    plans = tuple(version.plan for version in versions.values())
    champion_first = sorted(versions, key=lambda number: number != deployment.champion)
    return RequestNames(
        entity_types=tuple(
            dict.fromkeys(
                view.entity for number in champion_first for view in versions[number].plan.views
            )
        ),
        feature_names=frozenset(
            (
                *(name for plan in plans for name in plan.names),
                *(rule.feature for rule in deployment.rules),
            )
        ),
        output_names=tuple(
            dict.fromkeys(
                output.name for version in versions.values() for output in version.spec.outputs
            )
        ),
        plans=plans,
    )
