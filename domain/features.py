"""Feature views, feature sets and the status of a value.

A feature view is a named, versioned group of features of one entity type. A feature set is
what a model reads: `view@version:feature`, in the order of its input columns.
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Self

from domain.canonical import canonical_json, digest_of_text
from domain.errors import InvalidInputError

FeatureScalar = float | int | bool | str


class FeatureDtype(StrEnum):
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT64 = "int64"
    BOOL = "bool"
    STRING = "string"


class FeatureStatus(IntEnum):
    """How a value came to be. One byte per value in matrices and logs."""

    PRESENT = 0
    FROM_REQUEST = 1
    STALE = 2  # older than its max age; the stored value is used
    DEFAULTED = 3  # the declared default stands in for a missing value
    LAST_KNOWN = 4  # the store did not answer; a value seen earlier stands in
    MISSING = 5  # no value and no default; NaN or "" stands in


@dataclass(frozen=True, slots=True)
class Feature:
    name: str
    dtype: FeatureDtype
    default: FeatureScalar | None = None  # None: none is declared
    max_age_s: float | None = None  # None: never stale
    description: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Immutable under its name and version: `digest` covers all but the texts."""

    name: str
    version: int
    entity: str  # entity type, e.g. "user"
    features: tuple[Feature, ...]
    ttl_s: float | None = None  # how long the store keeps a record; None: for ever

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def canonical_json(self) -> str:
        """The text the digest is made of; what a registry stores and a router reads."""
        return canonical_json(
            {
                "name": self.name,
                "version": self.version,
                "entity": self.entity,
                "ttl_s": self.ttl_s,
                "features": [
                    {
                        "name": feature.name,
                        "dtype": feature.dtype.value,
                        "default": feature.default,
                        "max_age_s": feature.max_age_s,
                    }
                    for feature in self.features
                ],
            }
        )

    @property
    def digest(self) -> str:
        return digest_of_text(self.canonical_json)


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
            InvalidInputError: `text` is not of that form.
        """
        match = _FEATURE_REF.fullmatch(text)
        if match is None:
            raise InvalidInputError.of(
                field, read=text, accepted="view@version:feature, e.g. patient@1:mean_radius"
            )
        return cls(match["view"], int(match["version"]), match["feature"])
