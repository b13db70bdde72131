"""Feature views from a YAML file, validated with all faults at once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
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

from domain.errors import Fault, InvalidInputError, NotFoundError
from domain.features import Feature, FeatureDtype, FeatureScalar, FeatureView
from features.decisions.request_features import fault_of_value

_LONGEST_S = 10 * 366 * 86_400.0
_SECONDS = Annotated[float, Field(gt=0, le=_LONGEST_S)]
_VIEW_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_FEATURE_NAME = r"^[A-Za-z_][A-Za-z0-9_ .-]{0,127}$"


class _FeatureText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_FEATURE_NAME)]
    dtype: FeatureDtype
    default: StrictBool | StrictInt | StrictFloat | StrictStr | None = None
    max_age_s: _SECONDS | None = None
    description: str = ""
    owner: str = ""


class _ViewText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=_VIEW_NAME)]
    version: Annotated[int, Field(ge=1, le=999_999_999)]
    entity: Annotated[str, Field(pattern=_VIEW_NAME)]
    ttl_s: _SECONDS | None = None
    features: Annotated[list[_FeatureText], Field(min_length=1, max_length=10_000)]


class _ViewsText(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    views: Annotated[list[_ViewText], Field(min_length=1)]


def load_views(path: Path) -> tuple[FeatureView, ...]:
    """Read the feature views of a YAML file.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no YAML, or views in it are not usable; with all faults.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError("file", path) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError.of(str(path), read="bytes", accepted="UTF-8 text") from error
    return parse_views(text, where=str(path))


def parse_views(text: str, *, where: str) -> tuple[FeatureView, ...]:
    """Read feature views from YAML text; `where` names it in faults.

    Raises:
        InvalidInputError: it is no YAML, or views in it are not usable; with all faults.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        first_line = str(error).replace("\n", " ")[:120]
        raise InvalidInputError.of(where, read=first_line, accepted="YAML") from error
    try:
        parsed = _ViewsText.model_validate(content)
    except ValidationError as error:
        raise InvalidInputError(list(_faults_of(error))) from error
    if faults := list(_contradictions(parsed.views)):
        raise InvalidInputError(faults)
    return tuple(_view_of(each) for each in parsed.views)


def find_view(views: Sequence[FeatureView], text: str) -> FeatureView:
    """Return the view written `name@version`, or `name` where only one version is there.

    Raises:
        NotFoundError: none of `views` is meant.
    """
    matches = [view for view in views if text in {str(view), view.name}]
    if len(matches) != 1:
        raise NotFoundError("feature view", f"{text} (there are: {', '.join(map(str, views))})")
    return matches[0]


def _view_of(text: _ViewText) -> FeatureView:
    return FeatureView(
        name=text.name,
        version=text.version,
        entity=text.entity,
        ttl_s=text.ttl_s,
        features=tuple(
            Feature(
                name=feature.name,
                dtype=feature.dtype,
                default=_as_dtype(feature.dtype, feature.default),
                max_age_s=feature.max_age_s,
                description=feature.description,
                owner=feature.owner,
            )
            for feature in text.features
        ),
    )


def _as_dtype(dtype: FeatureDtype, value: FeatureScalar | None) -> FeatureScalar | None:
    # `default: 0` and `default: 0.0` of a float are one definition and have one digest.
    if value is not None and dtype in {FeatureDtype.FLOAT32, FeatureDtype.FLOAT64}:
        return float(value)
    return value


def _contradictions(views: Sequence[_ViewText]) -> Iterator[Fault]:
    seen: set[tuple[str, int]] = set()
    for place, view in enumerate(views):
        path = f"views[{place}]"
        if (view.name, view.version) in seen:
            yield Fault(path, f"{view.name}@{view.version} twice", "each name@version once")
        seen.add((view.name, view.version))
        yield from _feature_contradictions(path, view.features)


def _feature_contradictions(path: str, features: Sequence[_FeatureText]) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, feature in enumerate(features):
        where = f"{path}.features[{place}]"
        if feature.name in seen:
            yield Fault(f"{where}.name", f"{feature.name} twice", "each name once in a view")
        seen.add(feature.name)
        if feature.default is None:
            continue
        accepted = fault_of_value(feature.dtype, feature.default)
        if accepted is not None:
            yield Fault(f"{where}.default", repr(feature.default)[:80], accepted)


def _faults_of(error: ValidationError) -> Iterator[Fault]:
    seen: set[str] = set()
    for each in error.errors():
        # The branches of a union report one fault each; the place is told once.
        parts = [part for part in each["loc"] if not _names_union_branch(part)]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
        path = path.removeprefix(".") or "file"
        if path not in seen:
            seen.add(path)
            yield Fault(path, _shown(each["input"]), each["msg"])


def _names_union_branch(part: int | str) -> bool:
    return part in {"bool", "int", "float", "str"}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - a line's worth
