"""The evidence for each field of a record: verified by the registry, claimed by its author, or waived.

A field is verified only if the gate compared it with a finding of its own, so that another value would
have been refused. Order, form and agreement with other claims make no field verified.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Any

from understudy.provenance.fields import CHECKED, Absent, Part
from understudy.provenance.record import FROM_SCRATCH

# Fields that are compared with a finding only if the condition holds for the part that has them.
_CONDITIONS: Mapping[str, Callable[[Any], bool]] = {
    "artifact.joins_rows": lambda artifact: bool(artifact.joins_rows),
    "features.transform.digest": lambda transform: transform.where == "in_model",
    "parent.conversion.columns_with_missing": lambda conversion: bool(
        conversion.columns_with_missing
    ),
    "parent.version": lambda parent: parent.version != FROM_SCRATCH,
}


class Evidence(StrEnum):
    VERIFIED = "verified"
    CLAIMED = "claimed"
    WAIVED = "waived"


UNPROVEN = " (unproven: nothing proved the names of author and approver)"


@dataclass(frozen=True, slots=True)
class FieldEvidence:
    """The evidence for one field; entries of a list have one field, e.g. `artifact.files[].path`."""

    field: str
    evidence: Evidence
    by: str  # the fact that it was compared with, or the waiver; empty for a claim


def evidence_of(groups: Mapping[str, Any], contradicted: Iterable[str] = ()) -> list[FieldEvidence]:
    """Return the evidence for the fields of the groups that could be read.

    Args:
        groups: the record by group; see `read_record`.
        contradicted: fields with findings, which are left out.
    """
    found: dict[str, FieldEvidence] = {}
    for name, group in groups.items():
        rows = _of_part(name, group) if isinstance(group, Part) else [_schema_version(name)]
        for row in rows:
            before = found.get(row.field, row)
            found[row.field] = before if before.evidence is Evidence.CLAIMED else row
    wrong = {_without_places(each) for each in contradicted}
    return [row for row in found.values() if not _is_within(row.field, wrong)]


def without_proof(rows: Iterable[FieldEvidence], parts: Iterable[str]) -> list[FieldEvidence]:
    """Return the rows, with those of `parts` as claims: the gate could not look at them."""
    unseen = {*parts}
    return [
        FieldEvidence(row.field, Evidence.CLAIMED, "")
        if row.evidence is Evidence.VERIFIED and _is_within(row.field, unseen)
        else row
        for row in rows
    ]


def summed_up(rows: Iterable[FieldEvidence]) -> list[FieldEvidence]:
    """Return the rows for people: parts whose fields have the same evidence are one row."""
    merged = list(rows)
    deepest = max((row.field.count(".") for row in merged), default=0)
    for depth in range(deepest, 0, -1):
        merged = [*_merged(merged, depth)]
    return merged


def _merged(rows: list[FieldEvidence], depth: int) -> Iterator[FieldEvidence]:
    def parent_of(row: FieldEvidence) -> str:
        steps = row.field.split(".")
        return ".".join(steps[:depth]) if len(steps) == depth + 1 else row.field

    for parent, members in groupby(rows, parent_of):
        found = list(members)
        others = any(row.field.startswith(f"{parent}.") for row in rows if row not in found)
        if len(found) > 1 and not others and len({(r.evidence, r.by) for r in found}) == 1:
            yield FieldEvidence(parent, found[0].evidence, found[0].by)
        else:
            yield from found


def with_unproven_waivers(rows: Iterable[FieldEvidence]) -> Iterator[FieldEvidence]:
    """Yield the evidence of a registration by a name without proof: its waivers say so."""
    for row in rows:
        is_waived = row.evidence is Evidence.WAIVED
        yield replace(row, by=f"{row.by}{UNPROVEN}") if is_waived else row


def _of_part(path: str, part: Part) -> Iterator[FieldEvidence]:
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        inner = f"{path}.{field.alias or name}"
        match value:
            case Absent():
                by = f"{value.approved_by} until {value.expires_on}: {value.reason}"
                yield FieldEvidence(inner, Evidence.WAIVED, by)
            case Part():
                yield from _of_part(inner, value)
            case tuple() if any(isinstance(each, Part) for each in value):
                for each in value:
                    yield from _of_part(f"{inner}[]", each)
            case _:
                yield from _of_value(inner, part, value, check_of(field.json_schema_extra))


def _of_value(path: str, part: Part, value: object, check: str) -> Iterator[FieldEvidence]:
    applies = _CONDITIONS.get(path, lambda _: True)
    if check and applies(part):
        yield FieldEvidence(path, Evidence.VERIFIED, check)
    elif value is not None:
        yield FieldEvidence(path, Evidence.CLAIMED, "")


def _schema_version(name: str) -> FieldEvidence:
    return FieldEvidence(name, Evidence.VERIFIED, "the gate reads no other")


def check_of(extra: object) -> str:
    """Return the fact with which the gate compares a field of this schema; empty for a claim."""
    return str(extra.get(CHECKED, "")) if isinstance(extra, dict) else ""


def _without_places(field: str) -> str:
    head, *rest = field.split("[")
    return head + "".join("[]" + each.partition("]")[2] for each in rest)


def _is_within(field: str, parts: set[str]) -> bool:
    return any(field == part or field.startswith((f"{part}.", f"{part}[")) for part in parts)
