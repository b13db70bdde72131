"""Feature views, feature sets and the status of a value.

A feature view is a named, versioned group of features of one entity type. A feature set lists
what a model reads, as `view@version:feature`, in the order of its input columns.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Self

from understudy.domain.canonical import canonical_document, digest_of_text, exact_integer
from understudy.domain.errors import InvalidInputError
from understudy.domain.record_layouts import RecordLayout, layout_content, layout_from_content

FeatureScalar = float | int | bool | str

# A number is in the range of float32 if the nearest float32 is finite: 3.4028235e38, the shortest
# text of the largest one, is slightly above it.
FLOAT32_BELOW = 2.0**128 - 2.0**103


class FeatureDtype(StrEnum):
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT64 = "int64"
    BOOL = "bool"
    STRING = "string"


class FeatureStatus(IntEnum):
    """The origin of a value. One byte per value in matrices and logs."""

    PRESENT = 0
    FROM_REQUEST = 1
    STALE = 2  # older than its max age; the stored value is used
    DEFAULTED = 3  # no current record, or not in the request; the declared default is used
    LAST_KNOWN = 4  # the store did not answer; a value seen earlier is used
    MISSING = 5  # as DEFAULTED, without a default; NaN or "" is used
    NULL = 6  # the entity's current record has no value: a fact; NaN or "" is used
    NULL_DEFAULTED = 7  # as NULL; the declared default is used
    UNREAD = 8  # the store did not answer, and no earlier value is known; NaN or "" is used
    UNREAD_DEFAULTED = 9  # as UNREAD; the declared default is used


# Statuses whose value is a fact: the model reads the input that it was trained on.
ORDINARY_STATUSES = frozenset(
    {
        FeatureStatus.PRESENT,
        FeatureStatus.FROM_REQUEST,
        FeatureStatus.NULL,
        FeatureStatus.NULL_DEFAULTED,
    }
)
# Statuses of features without a value, not even a default: NaN or "" is used, and a row without
# these has no score.
EMPTY_STATUSES = frozenset({FeatureStatus.MISSING, FeatureStatus.NULL, FeatureStatus.UNREAD})


class ViewKind(StrEnum):
    """The origin of the values of a view."""

    STORED = "stored"  # read from the feature store
    REQUEST = "request"  # sent with the request; never stored
    COMPUTED = "computed"  # by expressions over other features, at the time of the request


class LogPolicy(StrEnum):
    """The form in which the values of a feature are in the score log, the strictest last."""

    VALUE = "value"
    HASH = "hash"  # a digest in the form of logged ids
    NONE = "none"  # only its status


def strictest(policies: Iterable[LogPolicy]) -> LogPolicy:
    """Return the strictest of `policies`, VALUE if there is none."""
    order = list(LogPolicy)
    return max(policies, key=order.index, default=LogPolicy.VALUE)


class KeyKind(StrEnum):
    """The type of the keys of a view's records; ids are texts in any case."""

    TEXT = "text"
    INTEGER = "integer"  # int64; the id is its decimal digits
    BYTES = "bytes"  # the id is lower-case hexadecimal


@dataclass(frozen=True, slots=True)
class Feature:
    name: str
    dtype: FeatureDtype
    default: FeatureScalar | None = None  # None: no default
    max_age_s: float | None = None  # None: never stale
    description: str = ""
    owner: str = ""
    expression: str = ""  # in a computed view
    family: str = ""  # of features that are updated together; "" in a view without families
    log: LogPolicy = LogPolicy.VALUE  # of a computed feature, with those of its inputs


@dataclass(frozen=True, slots=True)
class FeatureView:
    """A feature view, immutable under its name and version: the digest covers all but the texts."""

    name: str
    version: int
    entity: str  # entity type, e.g. "user"
    features: tuple[Feature, ...]
    ttl_s: float | None = None  # how long the store keeps a record; None: for ever
    kind: ViewKind = ViewKind.STORED
    layout: RecordLayout | None = None  # None: packed records
    inputs: tuple[tuple[str, str], ...] = ()  # in a computed view: name, `view@version:feature`
    key: KeyKind = KeyKind.TEXT
    namespace: str = ""  # of the records in Aerospike; "" for that of the store's URL
    family: str = ""  # in one family of a view, with the features of that family alone

    def __hash__(self) -> int:
        """Of the name alone: views are keys for each of their features, of which some have thousands."""
        return hash((self.name, self.version, self.family))

    def __str__(self) -> str:
        return f"{self.definition}/{self.family}" if self.family else self.definition

    @property
    def definition(self) -> str:
        """The name by which files and feature sets refer to the view, with all its families."""
        return f"{self.name}@{self.version}"

    @property
    def canonical_json(self) -> str:
        """The text that is digested, stored by the registry and read by routers."""
        content: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "entity": self.entity,
            "ttl_s": self.ttl_s,
            "features": [_content_of(feature) for feature in self.features],
        }
        # Members that a plain stored view lacks are left out, to keep its digest stable.
        if self.kind is not ViewKind.STORED:
            content["kind"] = self.kind.value
        content |= layout_content(self.layout)
        if self.inputs:
            content["inputs"] = [list(pair) for pair in self.inputs]
        if self.key is not KeyKind.TEXT:
            content["key"] = self.key.value
        if self.namespace:
            content["namespace"] = self.namespace
        if self.family:
            content["family"] = self.family
        return canonical_document("feature_view/1", content)

    @property
    def digest(self) -> str:
        return digest_of_text(self.canonical_json)


def _content_of(feature: Feature) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": feature.name,
        "dtype": feature.dtype.value,
        "default": written_default(feature.default),
        "max_age_s": feature.max_age_s,
    }
    if feature.expression:
        content["expression"] = feature.expression
    if feature.family:
        content["family"] = feature.family
    if feature.log is not LogPolicy.VALUE:
        content["log"] = feature.log.value
    return content


_FEATURE_REF = re.compile(
    r"(?P<view>[a-z][a-z0-9_]{0,62})@(?P<version>[1-9][0-9]{0,8}):(?P<feature>[A-Za-z_][\w .-]{0,127})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class FeatureRef:
    """One column of a feature set, written `view@version:feature`."""

    view: str
    view_version: int
    feature: str

    def __str__(self) -> str:
        return f"{self.view}@{self.view_version}:{self.feature}"

    @classmethod
    def parse(cls, text: str, field: str = "feature_set") -> Self:
        """Read `view@version:feature`.

        Raises:
            InvalidInputError: `text` does not have this form.
        """
        match = _FEATURE_REF.fullmatch(text)
        if match is None:
            raise InvalidInputError.of(
                field, read=text, accepted="view@version:feature, e.g. patient@1:mean_radius"
            )
        return cls(match["view"], int(match["version"]), match["feature"])


def view_from_canonical_json(text: str) -> FeatureView:
    """Return the view that `FeatureView.canonical_json` wrote."""
    content: dict[str, Any] = json.loads(text)
    return FeatureView(
        name=content["name"],
        version=content["version"],
        entity=content["entity"],
        ttl_s=_seconds(content["ttl_s"]),
        features=tuple(
            Feature(
                name=feature["name"],
                dtype=FeatureDtype(feature["dtype"]),
                default=_read_default(FeatureDtype(feature["dtype"]), feature["default"]),
                max_age_s=_seconds(feature["max_age_s"]),
                expression=feature.get("expression", ""),
                family=feature.get("family", ""),
                log=LogPolicy(feature.get("log", LogPolicy.VALUE)),
            )
            for feature in content["features"]
        ),
        kind=ViewKind(content.get("kind", ViewKind.STORED)),
        layout=layout_from_content(content),
        inputs=tuple((name, ref) for name, ref in content.get("inputs", ())),
        key=KeyKind(content.get("key", KeyKind.TEXT)),
        namespace=content.get("namespace", ""),
        family=content.get("family", ""),
    )


def written_default(value: FeatureScalar | None) -> FeatureScalar | None:
    """Return a default as it is written in digested documents."""
    return exact_integer(value) if isinstance(value, int) else value


def _read_default(dtype: FeatureDtype, value: FeatureScalar | None) -> FeatureScalar | None:
    """Return the default in its dtype: canonical JSON writes 1.0 as 1, and 2**60 as a string."""
    match dtype:
        case _ if value is None:
            return None
        case FeatureDtype.FLOAT32 | FeatureDtype.FLOAT64:
            return float(value)
        case FeatureDtype.INT64:
            return int(value)
        case _:
            return value


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)
