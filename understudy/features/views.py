"""Feature views, read from a YAML file and validated with all faults at once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeGuard

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.domain.features import (
    Feature,
    FeatureDtype,
    FeatureRef,
    FeatureScalar,
    FeatureView,
    KeyKind,
    LogPolicy,
    ViewKind,
)
from understudy.domain.record_layouts import (
    BinsLayout,
    FeastKeyType,
    FeastLayout,
    RecordLayout,
    TimeUnit,
)
from understudy.features.decisions.view_rules import (
    DEFAULT_KEY_TYPES,
    LONGEST_BIN_NAME,
    contradictions,
)
from understudy.features.serving.functions import deployed_functions
from understudy.runtime.strict_yaml import parse_yaml
from understudy.runtime.validation import accepted

_NO_ENTITY = "request"
_LONGEST_S = 10 * 365 * 86_400.0  # Aerospike refuses a longer time to live
_SECONDS = Annotated[float, Field(gt=0, le=_LONGEST_S)]
_VIEW_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_NAMESPACE = r"^[A-Za-z0-9_-]{1,31}$"
_SET_NAME = r"^[A-Za-z0-9_.-]{1,63}$"
_FEAST_NAME = Annotated[str, Field(min_length=1, max_length=255)]
_FAMILY = r"^[a-z][a-z0-9_]{0,30}$"
_INPUT_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_FEATURE_NAME = r"^[A-Za-z_][A-Za-z0-9_ .-]{0,127}$"


class _FeatureText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_FEATURE_NAME)]
    dtype: FeatureDtype
    default: StrictBool | StrictInt | StrictFloat | StrictStr | None = None
    max_age_s: _SECONDS | None = None
    description: str = ""
    owner: str = ""
    expression: str = ""
    family: Annotated[str, Field(pattern=_FAMILY)] = ""
    log: LogPolicy = LogPolicy.VALUE


class _BinsText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    set: Annotated[str, Field(pattern=_SET_NAME)] | None = None  # by default the name of the view
    event_time: Annotated[str, Field(max_length=LONGEST_BIN_NAME)] = ""
    event_time_unit: TimeUnit | None = None
    names: dict[str, Annotated[str, Field(min_length=1, max_length=LONGEST_BIN_NAME)]] = {}


class _FeastText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    set: Annotated[str, Field(pattern=_SET_NAME)]
    view: _FEAST_NAME | None = None  # by default the name of the view
    join_key: _FEAST_NAME | None = None  # by default the entity
    key_type: FeastKeyType | None = None  # by default that of `key`
    names: dict[str, _FEAST_NAME] = {}


class _ViewText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_VIEW_NAME)]
    version: Annotated[int, Field(ge=1, le=999_999_999)]
    entity: Annotated[str, Field(pattern=_VIEW_NAME)] = ""
    ttl_s: _SECONDS | None = None
    kind: ViewKind = ViewKind.STORED
    key: KeyKind = KeyKind.TEXT
    namespace: Annotated[str, Field(pattern=_NAMESPACE)] = ""
    layout: Literal["packed", "bins", "feast"] = "packed"
    bins: _BinsText = _BinsText()
    feast: _FeastText | None = None
    inputs: dict[Annotated[str, Field(pattern=_INPUT_NAME)], str] = {}
    features: Annotated[list[_FeatureText], Field(min_length=1, max_length=10_000)]


class _ViewsText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    views: Annotated[list[_ViewText], Field(min_length=1)]


def load_views(path: Path) -> tuple[FeatureView, ...]:
    """Read the feature views of a YAML file.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is not YAML, or contains invalid views; all faults are reported.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError("file", path) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError.of(str(path), read="bytes", accepted="UTF-8 text") from error
    try:
        return parse_views(text, where=str(path))
    except InvalidInputError as error:
        raise InvalidInputError([_in_file(path, fault) for fault in error.faults]) from error


def parse_views(text: str, *, where: str) -> tuple[FeatureView, ...]:
    """Read feature views from YAML text; `where` is its name in faults.

    Raises:
        InvalidInputError: it is not YAML, or contains invalid views; all faults are reported.
    """
    content = parse_yaml(text, where)
    try:
        parsed = _ViewsText.model_validate(content)
    except ValidationError as error:
        raise InvalidInputError(list(_faults_of(error))) from error
    faults = list(_layout_faults(parsed.views))
    views = tuple(_view_of(each) for each in parsed.views)
    faults += contradictions(views, functions=deployed_functions())
    if faults:
        raise InvalidInputError(faults)
    return views


def find_view(views: Sequence[FeatureView], text: str) -> FeatureView:
    """Return the view written `name@version`, or `name` if it has only one version.

    Raises:
        NotFoundError: there is no such view.
    """
    matches = [view for view in views if text in {str(view), view.name}]
    if len(matches) != 1:
        raise NotFoundError("feature view", f"{text} (known: {', '.join(map(str, views))})")
    return matches[0]


def views_of(
    feature_set: Sequence[FeatureRef], views: Sequence[FeatureView]
) -> tuple[FeatureView, ...]:
    """Return the views that a feature set names, and those that its computed features read.

    Raises:
        NotFoundError: a view is not among `views`.
    """
    by_name = {str(view): view for view in views}
    wanted = [f"{ref.view}@{ref.view_version}" for ref in feature_set]
    found: dict[str, FeatureView] = {}
    while wanted:
        name = wanted.pop(0)
        if name in found:
            continue
        if name not in by_name:
            raise NotFoundError("feature view", f"{name} (known: {', '.join(by_name)})")
        found[name] = by_name[name]
        wanted += [ref.rpartition(":")[0] for _, ref in found[name].inputs]
    return tuple(found.values())


def _view_of(text: _ViewText) -> FeatureView:
    return FeatureView(
        name=text.name,
        version=text.version,
        entity=text.entity or _NO_ENTITY,
        ttl_s=text.ttl_s,
        kind=text.kind,
        layout=_layout_of(text),
        inputs=tuple(text.inputs.items()),
        key=text.key,
        namespace=text.namespace,
        features=tuple(
            Feature(
                name=feature.name,
                dtype=feature.dtype,
                default=_as_dtype(feature.dtype, feature.default),
                max_age_s=feature.max_age_s,
                description=feature.description,
                owner=feature.owner,
                expression=feature.expression,
                family=feature.family,
                log=feature.log,
            )
            for feature in text.features
        ),
    )


def _layout_of(text: _ViewText) -> RecordLayout | None:
    if text.layout == "bins":
        return BinsLayout(
            set_name=text.bins.set or text.name,
            event_time_bin=text.bins.event_time,
            event_time_unit=text.bins.event_time_unit,
            names=tuple(text.bins.names.items()),
        )
    if text.layout == "feast" and text.feast is not None:
        return FeastLayout(
            set_name=text.feast.set,
            view_name=text.feast.view or text.name,
            join_key=text.feast.join_key or text.entity,
            key_type=text.feast.key_type or DEFAULT_KEY_TYPES[text.key],
            names=tuple(text.feast.names.items()),
        )
    return None


def _as_dtype(dtype: FeatureDtype, value: FeatureScalar | None) -> FeatureScalar | None:
    # `default: 0` and `default: 0.0` of a float are the same definition and have the same digest.
    if dtype in {FeatureDtype.FLOAT32, FeatureDtype.FLOAT64} and _is_whole(value):
        try:
            return float(value)
        except OverflowError:
            return value  # reported with the other faults
    return value


def _in_file(path: Path, fault: Fault) -> Fault:
    if fault.field == str(path):  # the fault concerns the whole file
        return fault
    return Fault(f"{path}: {fault.field}", fault.read, fault.accepted)


def _is_whole(value: FeatureScalar | None) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _layout_faults(views: Sequence[_ViewText]) -> Iterator[Fault]:
    for place, view in enumerate(views):
        for name in ("bins", "feast"):
            if view.layout != name and name in view.model_fields_set:
                read = f"{name} of a view with `layout: {view.layout}`"
                yield Fault(f"views[{place}].{name}", read, f"`layout: {name}`")
        if view.layout == "feast" and view.feast is None:
            yield Fault(f"views[{place}].feast", "nothing", "`feast`, with the set of the records")
        for name in ("key", "namespace"):
            if view.kind is not ViewKind.STORED and name in view.model_fields_set:
                accepted = f"none, for a {view.kind.value} view"
                yield Fault(f"views[{place}].{name}", str(getattr(view, name)), accepted)


def _faults_of(error: ValidationError) -> Iterator[Fault]:
    seen: set[str] = set()
    for each in error.errors():
        # Each branch of a union reports a fault; report the place once.
        parts = [part for part in each["loc"] if not _names_union_branch(part)]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
        path = path.removeprefix(".") or "file"
        if path not in seen:
            seen.add(path)
            yield Fault.of(path, read=each["input"], accepted=accepted(each["msg"]))


def _names_union_branch(part: int | str) -> bool:
    return part in {"bool", "int", "float", "str"}
