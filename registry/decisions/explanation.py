"""The facts behind a logged answer that need a rule: its features, and the age of a part. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import isfinite
from typing import TypeVar

from understudy.domain.features import FeatureScalar, FeatureStatus
from understudy.features.decisions.feature_columns import FeatureColumn, column_names

NOT_LOGGED = "not logged"

PartT = TypeVar("PartT")


@dataclass(frozen=True, slots=True)
class FeatureFact:
    """A value that the model read, by the score log."""

    name: str
    value: FeatureScalar | None  # None: missing, or not logged as such
    status: str  # one of `FeatureStatus` in lower case, or that it is not logged
    age: str  # of its record when it was read, or its origin


def feature_facts(
    names: Sequence[str],
    values: Sequence[FeatureScalar | None] | None,
    statuses: Sequence[int] | None,
    columns: Sequence[FeatureColumn],
    ages_ms: Mapping[str, int | None],
) -> list[FeatureFact]:
    """Return a fact for each feature; empty if the row has no features.

    Args:
        names: of the features, as logged.
        values: as logged; None if the model read none.
        statuses: as logged; None if all values were present.
        columns: of the version's feature set; empty if the version is not known.
        ages_ms: of the records by view, as logged; None without a record.
    """
    if values is None:
        return []
    known = {}
    if columns:
        known = dict(zip(column_names([each.ref for each in columns]), columns, strict=True))
    return [
        _fact(
            name,
            value,
            FeatureStatus.PRESENT if statuses is None else statuses[index],
            known.get(name),
            ages_ms,
        )
        for index, (name, value) in enumerate(zip(names, values, strict=True))
    ]


def _fact(
    name: str,
    value: FeatureScalar | None,
    number: int,
    column: FeatureColumn | None,
    ages_ms: Mapping[str, int | None],
) -> FeatureFact:
    finite = None if isinstance(value, float) and not isfinite(value) else value
    if number not in set(FeatureStatus):
        return FeatureFact(name, finite, f"unknown status {number}", NOT_LOGGED)
    status = FeatureStatus(number)
    return FeatureFact(name, finite, status.name.lower(), _age(status, column, ages_ms))


def _age(
    status: FeatureStatus, column: FeatureColumn | None, ages_ms: Mapping[str, int | None]
) -> str:
    """Return the age of a value's record."""
    age_ms = None if column is None else ages_ms.get(str(column.view))
    match status:
        case FeatureStatus.FROM_REQUEST:
            return "of the request"
        case FeatureStatus.DEFAULTED | FeatureStatus.MISSING:
            return "no record"
        case FeatureStatus.UNREAD | FeatureStatus.UNREAD_DEFAULTED:
            return "not read"
        case _:
            return NOT_LOGGED if age_ms is None else f"{age_ms / 1000:g} s"


def unchanged_for(parts: Sequence[PartT]) -> int:
    """Return the number of leading revisions, newest first, in which a version has the same part."""
    return len(list(takewhile(lambda part: part == parts[0], parts)))
