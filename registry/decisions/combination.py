"""Several changes of a deployment in one revision. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from registry.decisions.new_champion import with_champion
from understudy.domain.changes import Apply
from understudy.domain.deployments import Challenger, Deployment, Fallback, Shadow


class Clearable(StrEnum):
    """The parts of a deployment that can be absent."""

    CHALLENGERS = "challengers"
    SHADOWS = "shadows"
    FALLBACK = "fallback"
    THRESHOLD = "threshold"
    RULES = "rules"
    LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Combination:
    """The parts to set; None and empty for those that stay."""

    champion: int | None = None
    canaries_bp: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))  # 0: ends
    shadows_bp: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))  # 0: ends
    fallback: Fallback = field(default_factory=Fallback)  # its steps that are not None
    decision_threshold: float | None = None
    host_labels: tuple[str, ...] = ()
    clears: frozenset[Clearable] = frozenset()  # before the other parts are set


def combined(current: Deployment, wanted: Combination) -> Apply:
    """Return the declaration of `current` with the wanted parts.

    A version that becomes champion is challenger or shadow only if that is wanted too.
    """
    current = with_champion(current, wanted.champion or current.champion)
    challengers = () if Clearable.CHALLENGERS in wanted.clears else current.challengers
    weights_bp = {c.version: c.weight_bp for c in challengers} | dict(wanted.canaries_bp)
    left = {version for version, bp in wanted.canaries_bp.items() if bp == 0}
    is_clear = Clearable.THRESHOLD in wanted.clears
    threshold = None if is_clear else current.decision_threshold
    kept_labels = () if Clearable.LABELS in wanted.clears else current.host_labels
    return Apply(
        champion=current.champion,
        challengers=tuple(Challenger(v, bp) for v, bp in weights_bp.items() if v not in left),
        shadows=_shadows(current, wanted),
        fallback=_fallback(current, wanted),
        decision_threshold=(
            threshold if wanted.decision_threshold is None else wanted.decision_threshold
        ),
        rules=() if Clearable.RULES in wanted.clears else current.rules,
        host_labels=wanted.host_labels or kept_labels,
    )


def _shadows(current: Deployment, wanted: Combination) -> tuple[Shadow, ...]:
    """Return the shadows; one that gets another share still refuses defaults if it did."""
    kept = () if Clearable.SHADOWS in wanted.clears else current.shadows
    shadows = {each.version: each for each in kept}
    for version, bp in wanted.shadows_bp.items():
        shadows[version] = replace(shadows.get(version, Shadow(version, bp)), sample_bp=bp)
    return tuple(each for each in shadows.values() if wanted.shadows_bp.get(each.version) != 0)


def _fallback(current: Deployment, wanted: Combination) -> Fallback:
    kept = Fallback() if Clearable.FALLBACK in wanted.clears else current.fallback
    steps = {name: getattr(wanted.fallback, name) for name in Fallback.__dataclass_fields__}
    return replace(kept, **{name: step for name, step in steps.items() if step is not None})
