"""Findings of the gate: the field, the value read, and the values accepted."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, NoReturn, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from understudy.domain.canonical import canonical_json, exact_integer, number_as_written
from understudy.domain.errors import MOST_FAULTS, Fault
from understudy.provenance.fields import TAG, Part
from understudy.provenance.record import Provenance

_SHOWN_CHARACTERS = 120
_MOST_FINDINGS = 100  # that are named one by one, of one group
_MOST_DESCRIBED = 1_000  # faults of a group that pydantic describes
NOTHING = "nothing"
_EXACT = (
    "an integer of at most 2**53 - 1 in size, or its digits as a string: JSON numbers are doubles"
)


@dataclass(frozen=True, slots=True)
class Finding:
    field: str  # e.g. "data.training.content"
    read: str
    wanted: str

    @classmethod
    def of(cls, fault: Fault) -> "Finding":
        return cls(fault.field, fault.read, fault.accepted)

    def __str__(self) -> str:
        return f"{self.field}: read {self.read}; wanted: {self.wanted}"


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record as far as it could be read: the valid groups, and findings for the others."""

    groups: dict[str, Any]
    findings: tuple[Finding, ...]
    values: Any  # the JSON as given; None if it is not JSON


def shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def read_record(text: str) -> ReadRecord:
    """Read a record's JSON group by group, so that a bad group does not hide other findings."""
    try:
        values = json.loads(
            text,
            object_pairs_hook=without_repeats,
            parse_constant=_no_constant,
            parse_int=number_as_written,
        )
        if inexact := tuple(islice(_inexact_integers(values, ()), _MOST_FINDINGS)):
            return ReadRecord({}, inexact, None)
        canonical_json(values)  # fails on infinite numbers and on lone surrogates
    except (ValueError, RecursionError) as error:
        read = str(error) or "too deep"
        finding = Finding("record", read, "one JSON object, as in the record's reference")
        return ReadRecord({}, (finding,), None)
    if not isinstance(values, dict):
        return ReadRecord(
            {}, (Finding("record", shown(values), "a JSON object with the record's groups"),), None
        )
    groups: dict[str, Any] = {}
    known = _names(Provenance)
    unknown = [name for name in values if name not in Provenance.model_fields]
    findings = [
        Finding(name, shown(values[name]), f"no such field; known: {known}")
        for name in unknown[:_MOST_FINDINGS]
    ]
    findings += _left_out("record", len(unknown))
    for name, field in Provenance.model_fields.items():
        if name not in values:
            findings.append(Finding(name, NOTHING, field.description or ""))
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(field.annotation or Any)
        try:
            # Strict validation converts strings and lists to dates and tuples only from JSON.
            groups[name] = adapter.validate_json(json.dumps(values[name]))
        except ValidationError as error:
            findings += _named(name, _first_faults(adapter, values[name], error))
            findings += _left_out(name, error.error_count())
    return ReadRecord(groups, tuple(findings), values)


def _named(group: str, faults: Iterable[ErrorDetails]) -> Iterator[Finding]:
    return (_finding(group, fault) for fault in islice(faults, _MOST_FINDINGS))


def _first_faults(
    adapter: TypeAdapter[Any], value: Any, error: ValidationError
) -> Sequence[ErrorDetails]:
    """Return the first faults of a group, or all if they are few.

    pydantic describes all faults or none, which took half a second for 140,000 of them. Of many,
    those of a group with its first entries only are described.
    """
    if error.error_count() <= _MOST_DESCRIBED:
        return error.errors(include_url=False)
    try:
        adapter.validate_json(json.dumps(_first_entries(value)))
    except ValidationError as first:
        return first.errors(include_url=False)
    return ()  # the first entries are sound


def _first_entries(value: Any) -> Any:
    """Return `value` with the first entries of its lists and maps, and the known fields of parts."""
    match value:
        case list():
            return [_first_entries(each) for each in value[:MOST_FAULTS]]
        case dict():
            kept = {name for name in value if name in _known_fields()} | {
                *islice(value, MOST_FAULTS)
            }
            return {name: _first_entries(each) for name, each in value.items() if name in kept}
        case _:
            return value


@cache
def _known_fields() -> frozenset[str]:
    """Return the names of the fields of all parts, of any depth."""
    found: set[str] = set()
    parts: list[type[BaseModel]] = [Provenance]
    while parts:
        part = parts.pop()
        for name, field in part.model_fields.items():
            found.add(field.alias or name)
            parts += _parts_within(field.annotation)
    return frozenset(found)


def _left_out(field: str, faults: int) -> list[Finding]:
    """Return a finding for the faults of a field that are not named one by one, if there are any."""
    if faults <= _MOST_FINDINGS:
        return []
    return [Finding(field, f"{faults} faults", f"at most {_MOST_FINDINGS}, to have each one named")]


def _finding(group: str, fault: ErrorDetails) -> Finding:
    path = [group, *(part for part in fault["loc"] if not str(part).startswith(TAG))]
    read = NOTHING if fault["type"] == "missing" else shown(fault["input"])
    return Finding(_dotted(path), read, _wanted(path, fault))


def _wanted(path: Sequence[str | int], fault: ErrorDetails) -> str:
    if fault["type"] == "provenance":
        return str(fault["msg"])
    if fault["type"] == "extra_forbidden":
        parents = _parts_at(path[:-1])
        known = ", ".join(sorted({name for parent in parents for name in _field_names(parent)}))
        return f"no such field; known: {known}"
    for parent in _parts_at(path[:-1]):
        for name, field in parent.model_fields.items():
            if path[-1] in {name, field.alias} and field.description:
                return field.description
    return str(fault["msg"])


def _parts_at(path: Sequence[str | int]) -> list[type[BaseModel]]:
    """Return the record's classes that may occur at `path`."""
    parts: list[type[BaseModel]] = [Provenance]
    for step in path:
        if isinstance(step, int):
            continue
        parts = [
            inner
            for part in parts
            for name, field in part.model_fields.items()
            if step in {name, field.alias}
            for inner in _parts_within(field.annotation)
        ]
    return parts


def _parts_within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts_within(argument)


def _field_names(part: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def _names(part: type[BaseModel]) -> str:
    return ", ".join(_field_names(part))


def _dotted(path: Sequence[str | int]) -> str:
    text = str(path[0])
    for step in path[1:]:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text


def _inexact_integers(value: object, path: tuple[str | int, ...]) -> Iterator[Finding]:
    match value:
        case dict():
            inner: Iterable[tuple[str | int, object]] = value.items()
        case list():
            inner = enumerate(value)
        case int() if exact_integer(value) != value:
            yield Finding(_dotted(path or ("record",)), str(value), _EXACT)
            return
        case _:
            return
    for step, each in inner:
        yield from _inexact_integers(each, (*path, step))


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of a JSON object.

    Raises:
        ValueError: a name occurs twice.
    """
    read = dict(pairs)
    if len(read) != len(pairs):
        repeated = min(
            name for name, times in Counter(name for name, _ in pairs).items() if times > 1
        )
        raise ValueError(f"the name {shown(repeated)} occurs twice in one object")
    return read


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")
