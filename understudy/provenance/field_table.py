"""The record's fields as rows and as a Markdown table, generated from the record's classes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from understudy.provenance.evidence import check_of
from understudy.provenance.fields import Absent, Part
from understudy.provenance.record import Provenance


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of the record."""

    field: str  # path, e.g. "data.training.content"
    wanted: str
    checked: str  # the fact with which the gate compares it; empty for a claim
    waivable: bool


def field_rows() -> list[FieldRow]:
    return list(_rows(Provenance, ""))


def field_table() -> str:
    """Return a Markdown table of all fields."""
    rows = ["| field | wanted | compared with | waivable |", "| --- | --- | --- | --- |"]
    for row in field_rows():
        wanted = row.wanted.replace("|", "\\|")
        waivable = "yes" if row.waivable else ""
        rows.append(f"| `{row.field}` | {wanted} | {row.checked} | {waivable} |")
    return "\n".join(rows) + "\n"


def _rows(part: type[BaseModel], prefix: str) -> Iterator[FieldRow]:
    for name, field in part.model_fields.items():
        is_list = Ellipsis in get_args(field.annotation)
        path = f"{prefix}{field.alias or name}{'[]' if is_list else ''}"
        inner = [each for each in _parts_within(field.annotation) if each is not Absent]
        waivable = Absent in _parts_within(field.annotation)
        yield FieldRow(path, field.description or "", check_of(field.json_schema_extra), waivable)
        for each in inner:
            yield from _rows(each, f"{path}.")


def _parts_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _parts_within(argument)]
