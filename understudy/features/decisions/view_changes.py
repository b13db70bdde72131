"""Changes between two sets of feature views, and the rule for which are allowed."""

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.domain.features import Feature, FeatureView


@dataclass(frozen=True, slots=True)
class ViewChange:
    view: str  # name@version
    what: str
    is_allowed: bool  # False: the definition changed under the same version


def changes_between(old: Sequence[FeatureView], new: Sequence[FeatureView]) -> list[ViewChange]:
    """Return the changes from `old` to `new`, by view."""
    before = {str(view): view for view in old}
    after = {str(view): view for view in new}
    changes: list[ViewChange] = []
    for name in sorted({*before, *after}):
        if name not in before:
            changes.append(ViewChange(name, "added", is_allowed=True))
        elif name not in after:
            changes.append(ViewChange(name, "removed", is_allowed=True))
        else:
            changes += _changes_of(before[name], after[name])
    return changes


def _changes_of(old: FeatureView, new: FeatureView) -> list[ViewChange]:
    if old.digest == new.digest:
        is_same = old == new
        return [] if is_same else [ViewChange(str(old), "texts changed", is_allowed=True)]
    found = [
        f"{name}: {before!r} to {after!r}"
        for name, before, after in (
            ("entity", old.entity, new.entity),
            ("ttl_s", old.ttl_s, new.ttl_s),
            ("kind", old.kind.value, new.kind.value),
            ("key", old.key.value, new.key.value),
            ("namespace", old.namespace, new.namespace),
            ("layout", old.layout, new.layout),
            ("inputs", old.inputs, new.inputs),
        )
        if before != after
    ]
    found += _feature_changes(old.features, new.features)
    return [ViewChange(str(old), what, is_allowed=False) for what in found]


def _feature_changes(old: Sequence[Feature], new: Sequence[Feature]) -> list[str]:
    before = {feature.name: feature for feature in old}
    after = {feature.name: feature for feature in new}
    found = [f"feature {name} removed" for name in before if name not in after]
    found += [f"feature {name} added" for name in after if name not in before]
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        found.append("features in another order")
    for name in kept:
        for field in ("dtype", "default", "max_age_s", "expression", "family", "log"):
            was, is_now = getattr(before[name], field), getattr(after[name], field)
            if was != is_now:
                found.append(f"feature {name}, {field}: {was!r} to {is_now!r}")
    return found
