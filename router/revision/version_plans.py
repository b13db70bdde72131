"""The compiled plans of versions, and the reasons of those that have none."""

from collections.abc import Iterable

from router.batches.version_plan import VersionPlan
from understudy.domain.errors import UnderstudyError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import VersionRef
from understudy.features.serving.assembly import compile_plan

_Key = tuple[VersionRef, str]  # version, digest of its artifact


class VersionPlans:
    """Compiles each version once; a version that cannot be compiled harms no other."""

    def __init__(self) -> None:
        self._found: dict[_Key, VersionPlan | str] = {}  # a text: why there is no plan

    def of(self, specs: Iterable[VersionSpec]) -> tuple[dict[int, VersionPlan], dict[int, str]]:
        """Return the plans of one model's versions, and the reasons of those without, by number."""
        plans: dict[int, VersionPlan] = {}
        unservable: dict[int, str] = {}
        for spec in specs:
            match self._plan(spec):
                case VersionPlan() as plan:
                    plans[spec.ref.number] = plan
                case str() as why:
                    unservable[spec.ref.number] = why
        return plans, unservable

    def compile_new(self, specs: Iterable[VersionSpec]) -> None:
        """Compile versions that were not seen before. Unlike the rest, it may run beside the event loop."""
        for spec in specs:
            self._plan(spec)

    def keep_only(self, specs: Iterable[VersionSpec]) -> None:
        """Forget the plans of all other versions, because versions come and go for years."""
        kept = {_key(spec) for spec in specs}
        self._found = {key: plan for key, plan in self._found.items() if key in kept}

    def _plan(self, spec: VersionSpec) -> VersionPlan | str:
        key = _key(spec)
        if key not in self._found:
            self._found[key] = _compiled(spec)
        return self._found[key]


def _compiled(spec: VersionSpec) -> VersionPlan | str:
    try:
        plan = compile_plan(spec.feature_set, spec.feature_views, spec.inputs, spec.column_inputs)
    except UnderstudyError as error:
        return str(error)
    return VersionPlan(spec, plan)


def _key(spec: VersionSpec) -> _Key:
    return spec.ref, spec.artifact_digest
