"""The families of a view: groups of its features with records of their own, updated separately.

A record is replaced whole and has one event time. A family is therefore a view of its own for
stores, history and assembly; only feature sets and definitions name the whole view.
"""

from dataclasses import replace
from functools import lru_cache

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureView


@lru_cache(maxsize=4096)
def families_of(view: FeatureView) -> tuple[FeatureView, ...]:
    """Return the views whose records hold the values of `view`: itself, or one per family."""
    names = dict.fromkeys(feature.family for feature in view.features)
    if view.family or list(names) == [""]:
        return (view,)
    return tuple(
        replace(
            view,
            family=name,
            features=tuple(feature for feature in view.features if feature.family == name),
        )
        for name in names
    )


def family_of(view: FeatureView, name: str | None, *, field: str) -> FeatureView:
    """Return the view of one kind of record; a view without families has only one.

    Args:
        view: the whole view.
        name: of the family; None for a view without families.
        field: the name of the argument in faults.

    Raises:
        InvalidInputError: `view` has no family of this name, or has families and none is named.
    """
    families = families_of(view)
    found = [each for each in families if each.family == (name or "")]
    if found:
        return found[0]
    names = ", ".join(each.family for each in families if each.family)
    accepted = f"a family of {view}: {names}" if names else f"none: {view} has no families"
    raise InvalidInputError.of(field, read=name or "nothing", accepted=accepted)
