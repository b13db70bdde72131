"""The record's fields as a Markdown table, generated from the record's classes."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from understudy.provenance.fields import Absent, Part
from understudy.provenance.record import Provenance


def field_table() -> str:
    """Return a Markdown table of every field, its accepted values, and whether it is waivable."""
    rows = ["| field | wanted | waivable |", "| --- | --- | --- |"]
    rows += [
        f"| `{path}` | {wanted} | {'yes' if waivable else ''} |"
        for path, wanted, waivable in _rows(Provenance, "")
    ]
    return "\n".join(rows) + "\n"


def _rows(part: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, bool]]:
    for name, field in part.model_fields.items():
        is_list = Ellipsis in get_args(field.annotation)
        path = f"{prefix}{field.alias or name}{'[]' if is_list else ''}"
        inner = [each for each in _parts_within(field.annotation) if each is not Absent]
        waivable = Absent in _parts_within(field.annotation)
        yield path, (field.description or "").replace("|", "\\|"), waivable
        for each in inner:
            yield from _rows(each, f"{path}.")


def _parts_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _parts_within(argument)]
