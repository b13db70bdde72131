"""The columns of a feature set: their features and their names."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import Feature, FeatureRef, FeatureView, ViewKind
from understudy.features.decisions.families import families_of

_SHOWN_NAMES = 12


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One column of a feature set."""

    ref: FeatureRef
    view: FeatureView  # of its records: in a view with families, one family
    feature: Feature
    place_in_view: int

    @property
    def is_stored(self) -> bool:
        return self.view.kind is ViewKind.STORED


def columns_of(
    feature_set: Sequence[FeatureRef], views: Sequence[FeatureView]
) -> tuple[FeatureColumn, ...]:
    """Return the columns of a feature set over its views.

    Raises:
        InvalidInputError: a feature is in no view, or is named twice; all faults are reported.
    """
    by_name = {(view.name, view.version): view for view in views}
    named = {(ref.view, ref.view_version) for ref in feature_set}
    homes = {name: _columns_by_feature(by_name[name]) for name in named & by_name.keys()}
    faults: list[Fault] = []
    columns: list[FeatureColumn] = []
    seen: set[FeatureRef] = set()
    for place, ref in enumerate(feature_set):
        home = homes.get((ref.view, ref.view_version))
        if home is None or ref.feature not in home:
            known = list(map(str, views)) if home is None else list(home)
            accepted = shortened(known)
            faults.append(Fault(f"feature_set[{place}]", str(ref), accepted))
        elif ref in seen:
            faults.append(Fault(f"feature_set[{place}]", f"{ref} twice", "each feature once"))
        else:
            view, at = home[ref.feature]
            columns.append(FeatureColumn(ref, view, view.features[at], at))
        seen.add(ref)
    if faults:
        raise InvalidInputError(faults)
    return tuple(columns)


def _columns_by_feature(view: FeatureView) -> dict[str, tuple[FeatureView, int]]:
    """Return the view of the records of each feature, and its place in it."""
    places = {
        feature.name: (family, place)
        for family in families_of(view)
        for place, feature in enumerate(family.features)
    }
    return {feature.name: places[feature.name] for feature in view.features}


def column_names(refs: Sequence[FeatureRef], taken: Collection[str] = ()) -> tuple[str, ...]:
    """Return the shortest unique names of the columns: `feature`, `view:feature`, or the full one.

    Args:
        refs: the features of the columns.
        taken: names of other columns, which have no colon.
    """
    counts = Counter(name for ref in refs for name in set(_spellings(ref)))
    counts.update(taken)
    return tuple(next(name for name in _spellings(ref) if counts[name] == 1) for ref in refs)


def places_by_name(refs: Sequence[FeatureRef]) -> dict[str, int]:
    """Return the index of each column by every name that is unambiguous."""
    counts = Counter(name for ref in refs for name in set(_spellings(ref)))
    return {
        name: place
        for place, ref in enumerate(refs)
        for name in _spellings(ref)
        if counts[name] == 1
    }


def shortened(names: Sequence[str]) -> str:
    """Return the names as a string of bounded length."""
    shown = ", ".join(names[:_SHOWN_NAMES])
    return f"{shown} and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else shown


def _spellings(ref: FeatureRef) -> tuple[str, str, str]:
    return ref.feature, f"{ref.view}:{ref.feature}", str(ref)
