"""JSON output for programs, with one rule for values that JSON lacks and for control characters."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from typing import Any, Protocol, runtime_checkable

# JSON permits these characters, but terminals interpret them, or UTF-8 cannot encode them.
_UNSAFE = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def print_json(value: object) -> None:
    """Print `value` as one JSON document."""
    print(json_text(value, indent=2), flush=True)  # noqa: T201 - the result


def print_json_lines(rows: Iterable[object]) -> None:
    """Print each row as one line of JSON, for streams of rows."""
    for row in rows:
        print(json_text(row))  # noqa: T201 - as above
    sys.stdout.flush()  # a reader of the pipe may be waiting for them


def json_text(value: object, *, indent: int | None = None) -> str:
    text = json.dumps(json_value(value), ensure_ascii=False, allow_nan=False, indent=indent)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_value(value: object) -> object:
    """Return `value` in the types of JSON; NaN and infinity, which JSON lacks, become null."""
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    if is_dataclass(value):
        return _fields(value)
    return json_value(value.item()) if isinstance(value, _Scalar) else str(value)


@runtime_checkable
class _Scalar(Protocol):
    """A numpy scalar that is not a Python number, e.g. numpy's bool."""

    def item(self) -> object: ...


def _number(value: Any) -> float | None:
    number = float(value)
    return number if isfinite(number) else None


def _decimal(value: Decimal) -> int | float | None:
    is_whole = value.is_finite() and value == value.to_integral_value()
    return int(value) if is_whole else _number(value)


def _fields(value: Any) -> dict[str, object]:
    return {each.name: json_value(getattr(value, each.name)) for each in fields(value)}


# The first match applies: an Enum can also be a string or a number.
_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    ((type(None), bool), lambda value: value),
    (Enum, lambda value: json_value(value.value)),
    (str, str),
    (Integral, int),
    (Decimal, _decimal),  # sums in SQL
    (Real, _number),
    (date, lambda value: value.isoformat()),  # including datetime
    (bytes, lambda value: value.hex()),
    (
        Mapping,
        lambda value: {str(json_value(key)): json_value(each) for key, each in value.items()},
    ),
    (
        (list, tuple, set, frozenset),
        lambda value: [json_value(each) for each in value],
    ),
)
