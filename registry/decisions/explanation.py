"""The facts behind a logged answer that need a rule: its features, and the age of a part. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import isfinite
from typing import TypeVar

from understudy.domain.features import FeatureStatus
from understudy.features.decisions.feature_columns import FeatureColumn, column_names

NOT_LOGGED = "not logged"

PartT = TypeVar("PartT")


@dataclass(frozen=True, slots=True)
class FeatureFact:
    """A value that the model read, by the score log."""

    name: str
    value: float | None  # None: a text, which is not logged, or missing
    status: str  # one of `FeatureStatus` in lower case, or that it is not logged
    age: str  # as far as status and view bound it; ages themselves are not logged


def feature_facts(
    names: Sequence[str],
    values: Sequence[float] | None,
    statuses: Sequence[int] | None,
    columns: Sequence[FeatureColumn],
) -> list[FeatureFact]:
    """Return a fact for each feature; empty if the row has no features.

    Args:
        names: of the features, as logged.
        values: as logged; None if the model read none.
        statuses: as logged; None if all values were present.
        columns: of the version's feature set; empty if the version is not known.
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
        )
        for index, (name, value) in enumerate(zip(names, values, strict=True))
    ]


def _fact(name: str, value: float, number: int, column: FeatureColumn | None) -> FeatureFact:
    finite = value if isfinite(value) else None
    if number not in set(FeatureStatus):
        return FeatureFact(name, finite, f"unknown status {number}", NOT_LOGGED)
    status = FeatureStatus(number)
    return FeatureFact(name, finite, status.name.lower(), _age(status, column))


def _age(status: FeatureStatus, column: FeatureColumn | None) -> str:
    """Return the bounds of a value's age by its status; the log has no times of records."""
    max_age_s = None if column is None else column.feature.max_age_s
    match status:
        case FeatureStatus.FROM_REQUEST:
            return "of the request"
        case FeatureStatus.DEFAULTED | FeatureStatus.MISSING:
            return "no record"
        case FeatureStatus.PRESENT if max_age_s is not None:
            return f"at most {max_age_s:g} s"
        case FeatureStatus.STALE if max_age_s is not None:
            return f"above {max_age_s:g} s"
        case _:
            return NOT_LOGGED


def unchanged_for(parts: Sequence[PartT]) -> int:
    """Return the number of leading revisions, newest first, in which a version has the same part."""
    return len(list(takewhile(lambda part: part == parts[0], parts)))
