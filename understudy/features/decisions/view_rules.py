"""Consistency rules for feature views, within a view and between views."""

from collections.abc import Iterator, Mapping, Sequence

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureDtype, FeatureRef, FeatureView, KeyKind, ViewKind
from understudy.domain.record_layouts import (
    OWN_BIN_PREFIX,
    BinsLayout,
    FeastKeyType,
    FeastLayout,
    RecordLayout,
)
from understudy.features.decisions.expressions import NOW, Function, compile_expression
from understudy.features.decisions.request_features import fault_of_value

_NOT_OURS = f"a name that does not begin with {OWN_BIN_PREFIX}, as the bins of our loader do"
LONGEST_BIN_NAME = 15  # bytes, a limit of the Aerospike server
MOST_FAMILIES = 16
_KEY_TYPES = {
    KeyKind.TEXT: (FeastKeyType.STRING,),
    KeyKind.INTEGER: (FeastKeyType.INT64, FeastKeyType.INT32),
    KeyKind.BYTES: (FeastKeyType.BYTES,),
}
DEFAULT_KEY_TYPES = {kind: types[0] for kind, types in _KEY_TYPES.items()}


def contradictions(
    views: Sequence[FeatureView], *, functions: Mapping[str, Function]
) -> list[Fault]:
    """Return all faults that make `views` unusable.

    Args:
        views: of one file.
        functions: functions that expressions may call besides the built-in ones.
    """
    faults: list[Fault] = []
    seen: set[str] = set()
    for place, view in enumerate(views):
        path = f"views[{place}]"
        if str(view) in seen:
            faults.append(Fault(path, f"{view} twice", "each name@version once"))
        seen.add(str(view))
        faults += _feature_faults(path, view)
        faults += _kind_faults(path, view)
        faults += _family_faults(path, view)
        match view.layout:
            case BinsLayout():
                faults += _bin_faults(path, view, view.layout)
            case FeastLayout():
                faults += _feast_faults(path, view, view.layout)
            case None:
                pass
        if view.kind is ViewKind.COMPUTED:
            faults += _input_faults(path, view, views)
            faults += _expression_faults(path, view, functions)
    return faults


def check_writable(view: FeatureView) -> None:
    """Check that Understudy writes the records of a view.

    Raises:
        InvalidInputError: another tool does, in a layout that is only read.
    """
    if isinstance(view.layout, FeastLayout):
        accepted = "packed or bins: only Feast writes records in its layout"
        raise InvalidInputError.of(f"layout of {view}", read="feast", accepted=accepted)


def bin_names(view: FeatureView, layout: RecordLayout) -> list[str]:
    """Return the name of each feature of a view in its bins, or in Feast."""
    names = dict(layout.names)
    return [names.get(feature.name, feature.name) for feature in view.features]


def _feature_faults(path: str, view: FeatureView) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, feature in enumerate(view.features):
        where = f"{path}.features[{place}]"
        if feature.name in seen:
            yield Fault(f"{where}.name", f"{feature.name} twice", "each name once in a view")
        seen.add(feature.name)
        if feature.default is None:
            continue
        accepted = fault_of_value(feature.dtype, feature.default)
        if accepted is not None:
            yield Fault(f"{where}.default", repr(feature.default)[:80], accepted)


def _kind_faults(path: str, view: FeatureView) -> Iterator[Fault]:
    is_stored = view.kind is ViewKind.STORED
    if is_stored and view.entity == "request":
        yield Fault(f"{path}.entity", "none", "the entity type of the records")
    if not is_stored and view.entity != "request":
        yield Fault(f"{path}.entity", view.entity, f"none, for a {view.kind.value} view")
    if not is_stored and view.layout is not None:
        read = "bins" if isinstance(view.layout, BinsLayout) else "feast"
        yield Fault(f"{path}.layout", read, f"none, for a {view.kind.value} view")
    if not is_stored and view.ttl_s is not None:
        yield Fault(f"{path}.ttl_s", str(view.ttl_s), f"none, for a {view.kind.value} view")
    if view.kind is not ViewKind.COMPUTED and view.inputs:
        yield Fault(f"{path}.inputs", "inputs", "only with `kind: computed`")
    yield from _feature_kind_faults(path, view)


def _feature_kind_faults(path: str, view: FeatureView) -> Iterator[Fault]:
    for place, feature in enumerate(view.features):
        if bool(feature.expression) != (view.kind is ViewKind.COMPUTED):
            yield Fault(
                f"{path}.features[{place}].expression",
                repr(feature.expression),
                "an expression in each feature of a computed view, and nowhere else",
            )
        if view.kind is not ViewKind.STORED and feature.max_age_s is not None:
            yield Fault(
                f"{path}.features[{place}].max_age_s",
                str(feature.max_age_s),
                f"none, for a {view.kind.value} view",
            )


def _family_faults(path: str, view: FeatureView) -> Iterator[Fault]:
    named = [feature.family for feature in view.features if feature.family]
    if not named:
        return
    if view.kind is not ViewKind.STORED or view.layout is not None:
        accepted = "none: only a stored view of packed records has families"
        yield Fault(f"{path}.features", f"family {named[0]}", accepted)
    for place, feature in enumerate(view.features):
        if not feature.family:
            accepted = "a family for each feature of the view, or for none"
            yield Fault(f"{path}.features[{place}].family", "nothing", accepted)
    if len(set(named)) > MOST_FAMILIES:
        accepted = f"at most {MOST_FAMILIES}: each is one more record to read"
        yield Fault(f"{path}.features", f"{len(set(named))} families", accepted)


def _bin_faults(path: str, view: FeatureView, layout: BinsLayout) -> Iterator[Fault]:
    if layout.event_time_unit is not None and not layout.event_time_bin:
        unit = layout.event_time_unit.value
        yield Fault(f"{path}.bins.event_time_unit", unit, "none without `event_time`")
    yield from _name_faults(f"{path}.bins", view, layout)
    if layout.event_time_bin.startswith(OWN_BIN_PREFIX):
        yield Fault(f"{path}.bins.event_time", layout.event_time_bin, _NOT_OURS)
    taken: set[str] = {layout.event_time_bin} if layout.event_time_bin else set()
    for feature, name in zip(view.features, bin_names(view, layout), strict=True):
        if len(name.encode()) > LONGEST_BIN_NAME:
            where = f"{path}.bins.names.{feature.name}"
            yield Fault(where, name, f"a bin name of at most {LONGEST_BIN_NAME} bytes")
        if name in taken:
            yield Fault(f"{path}.bins.names.{feature.name}", f"{name} twice", "each bin once")
        if name.startswith(OWN_BIN_PREFIX):
            yield Fault(f"{path}.bins.names.{feature.name}", name, _NOT_OURS)
        taken.add(name)


def _feast_faults(path: str, view: FeatureView, layout: FeastLayout) -> Iterator[Fault]:
    yield from _name_faults(f"{path}.feast", view, layout)
    names = bin_names(view, layout)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Fault(f"{path}.feast.names", f"{name} twice", "each name once")
    fitting = _KEY_TYPES[view.key]
    if layout.key_type not in fitting:
        accepted = f"{' or '.join(fitting)}, with `key: {view.key}`"
        yield Fault(f"{path}.feast.key_type", layout.key_type.value, accepted)


def _name_faults(path: str, view: FeatureView, layout: RecordLayout) -> Iterator[Fault]:
    known = {feature.name for feature in view.features}
    for name in dict(layout.names):
        if name not in known:
            yield Fault(f"{path}.names.{name}", name, "names of this view's features")


def _input_faults(path: str, view: FeatureView, views: Sequence[FeatureView]) -> Iterator[Fault]:
    by_name = {str(each): each for each in views}
    for name, text in view.inputs:
        where = f"{path}.inputs.{name}"
        if name == NOW:
            yield Fault(where, name, "another name: `now` is the time of the request")
        try:
            ref = FeatureRef.parse(text, where)
        except InvalidInputError as error:
            yield from error.faults
            continue
        source = by_name.get(f"{ref.view}@{ref.view_version}")
        dtypes = {each.name: each.dtype for each in source.features} if source else {}
        if source is None or ref.feature not in dtypes:
            yield Fault(where, text, "a feature of a view in this file")
        elif source.kind is ViewKind.COMPUTED:
            yield Fault(where, text, "a feature that is not computed")
        elif dtypes[ref.feature] is FeatureDtype.STRING:
            yield Fault(where, text, "a numeric feature")


def _expression_faults(
    path: str, view: FeatureView, functions: Mapping[str, Function]
) -> Iterator[Fault]:
    accepted = {name for name, _ in view.inputs} | {NOW}
    for place, feature in enumerate(view.features):
        where = f"{path}.features[{place}]"
        if feature.dtype is FeatureDtype.STRING:
            yield Fault(f"{where}.dtype", "string", "a numeric dtype, for a computed feature")
        if not feature.expression:
            continue
        try:
            expression = compile_expression(
                feature.expression, functions=functions, field=f"{where}.expression"
            )
        except InvalidInputError as error:
            yield from error.faults
            continue
        for name in sorted(expression.names - accepted):
            yield Fault(f"{where}.expression", name, f"one of {', '.join(sorted(accepted))}")
