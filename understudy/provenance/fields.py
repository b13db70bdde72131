"""The kinds of fields in a provenance record. Each describes its accepted values."""

import re
from datetime import date, datetime, timedelta
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

PLACEHOLDERS = frozenset(
    [
        "unknown",
        "n/a",
        "na",
        "none",
        "null",
        "nil",
        "todo",
        "tbd",
        "tba",
        "fixme",
        "xxx",
        "placeholder",
        "changeme",
        "example",
        "-",
        "--",
        "?",
        "???",
        ".",
    ]
)
LONGEST_TEXT = 4096
TAG = "~"  # marks the alternatives of a union in an error's path; no field name starts with it

_HEX_64 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CONTENT = re.compile(r"sha256:[0-9a-f]{64}|snapshot:\S.{0,199}")


class Part(BaseModel):
    """The base of every part of the record: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def is_placeholder(text: str) -> bool:
    return not text.strip() or text.strip().lower().strip("<>[]{}()") in PLACEHOLDERS


def _fail(wanted: str) -> PydanticCustomError:
    return PydanticCustomError("provenance", "{wanted}", {"wanted": wanted})


def _text(value: str) -> str:
    if is_placeholder(value):
        raise _fail("a meaningful text; placeholders such as '', unknown, n/a, todo are refused")
    return value


def _is_one_digit(value: str) -> bool:
    """Return whether a digest was typed and not computed, as 1111 and so on."""
    return len(set(value)) == 1


def _sha256(value: str) -> str:
    if not _HEX_64.fullmatch(value) or _is_one_digit(value):
        raise _fail("a sha256: 64 lower-case hex digits, not one digit repeated")
    return value


def _commit(value: str) -> str:
    if not _COMMIT.fullmatch(value) or _is_one_digit(value):
        raise _fail("a commit: 40 or 64 lower-case hex digits, not one digit repeated")
    return value


def _content(value: str) -> str:
    kind, _, identity = value.partition(":")
    is_typed = _is_one_digit(identity) if kind == "sha256" else not identity.strip("0")
    if not _CONTENT.fullmatch(value) or is_typed or is_placeholder(identity):
        raise _fail("'sha256:' and 64 hex digits, or 'snapshot:' and the snapshot's id")
    return value


def _utc(value: datetime) -> datetime:
    if value.utcoffset() != timedelta(0):
        raise _fail("a time in UTC, e.g. 2026-03-01T12:00:00Z")
    return value


def _finite(value: float) -> float:
    if not isfinite(value):
        raise _fail("a finite number")
    return value


Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_text)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
Commit = Annotated[str, AfterValidator(_commit)]
Content = Annotated[str, AfterValidator(_content)]
Utc = Annotated[datetime, AfterValidator(_utc)]
Finite = Annotated[float, AfterValidator(_finite)]
NotNegative = Annotated[float, AfterValidator(_finite), Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Absent(Part):
    """Replaces a waivable field that does not apply. Needs a second person and an end date."""

    absent: Annotated[bool, Field(description="true")]
    reason: Annotated[Text, Field(description="why the field does not apply")]
    approved_by: Annotated[Text, Field(description="the person who approved; not the author")]
    expires_on: Annotated[date, Field(description="the last day of the waiver, YYYY-MM-DD")]


def _is_absent(value: Any) -> str:
    named = isinstance(value, Absent) or (isinstance(value, dict) and "absent" in value)
    return f"{TAG}absent" if named else f"{TAG}value"


WaivableFloat = Annotated[
    Annotated[Finite, Tag(f"{TAG}value")] | Annotated[Absent, Tag(f"{TAG}absent")],
    Discriminator(_is_absent),
]
WaivableText = Annotated[
    Annotated[Text, Tag(f"{TAG}value")] | Annotated[Absent, Tag(f"{TAG}absent")],
    Discriminator(_is_absent),
]
# A string if JSON cannot hold the number: JSON numbers are doubles.
Seed = int | Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
WaivableSeeds = Annotated[
    Annotated[dict[str, Seed], Tag(f"{TAG}value")] | Annotated[Absent, Tag(f"{TAG}absent")],
    Discriminator(_is_absent),
]
