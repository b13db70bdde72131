"""The kinds of fields in a provenance record. Each describes its accepted values."""

import re
from datetime import date, datetime, timedelta
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from understudy.provenance.meaning import (
    identifies_nothing,
    is_no_sentence,
    is_typed_digest,
    says_nothing,
)

LONGEST_TEXT = 4096
_FIRST_YEAR = 1900  # of an event time; an earlier bound bounds nothing
_LOWEST_LEVEL, _HIGHEST_LEVEL = 0.8, 0.999
CHECKED = "checked"  # in a field's schema: the fact with which the gate compares the field
TAG = "~"  # marks the alternatives of a union in an error's path; no field name starts with it

_HEX_64 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LOCATION = re.compile(r"(?:[^\s:/]+:|/)\S.*")
_CONTENT = re.compile(r"sha256:[0-9a-f]{64}|snapshot:\S.{0,199}")


class Part(BaseModel):
    """The base of every part of the record: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def described(description: str, *, checked: str | None = None, **rules: Any) -> Any:
    """Return a field.

    Args:
        description: the accepted values, as findings state them.
        checked: the fact with which the gate compares the field; None: it is a claim.
        rules: further arguments of pydantic's `Field`.
    """
    extra: dict[str, Any] = {} if checked is None else {"json_schema_extra": {CHECKED: checked}}
    return Field(description=description, **rules, **extra)


def _fail(wanted: str) -> PydanticCustomError:
    return PydanticCustomError("provenance", "{wanted}", {"wanted": wanted})


def _text(value: str) -> str:
    if says_nothing(value):
        raise _fail(
            "a meaningful text; single letters and placeholders such as '', unknown, n/a, todo are "
            "refused"
        )
    return value


def _identifier(value: str) -> str:
    if identifies_nothing(value):
        raise _fail("an id or a number; single letters, 0, and placeholders are refused")
    return value


def _sentence(value: str) -> str:
    if is_no_sentence(value):
        raise _fail("a sentence of at least 8 letters that explains it")
    return value


def _location(value: str) -> str:
    if says_nothing(value) or not _LOCATION.fullmatch(value):
        raise _fail("a URL, HOST:PATH or an absolute path, e.g. s3://bucket/claims/2025.parquet")
    return value


def _sha256(value: str) -> str:
    if not _HEX_64.fullmatch(value) or is_typed_digest(value):
        raise _fail(
            "a sha256: 64 lower-case hex digits, computed over at least one byte and not typed as "
            "1111… or abab…"
        )
    return value


def _image(value: str) -> str:
    kind, _, digest = value.partition(":")
    if kind != "sha256" or not _HEX_64.fullmatch(digest) or is_typed_digest(digest):
        raise _fail("'sha256:' and the 64 hex digits of the image, not typed as 1111… or abab…")
    return value


def _commit(value: str) -> str:
    if not _COMMIT.fullmatch(value) or is_typed_digest(value):
        raise _fail("a commit: 40 or 64 lower-case hex digits, not typed as 1111… or abab…")
    return value


def _content(value: str) -> str:
    kind, _, identity = value.partition(":")
    is_typed = is_typed_digest(identity) if kind == "sha256" else identifies_nothing(identity)
    if not _CONTENT.fullmatch(value) or is_typed:
        raise _fail("'sha256:' and 64 hex digits, or 'snapshot:' and the snapshot's id")
    return value


def _utc(value: datetime) -> datetime:
    if value.utcoffset() != timedelta(0) or value.year < _FIRST_YEAR:
        raise _fail(f"a time in UTC from {_FIRST_YEAR} on, e.g. 2026-03-01T12:00:00Z")
    return value


def _finite(value: float) -> float:
    if not isfinite(value):
        raise _fail("a finite number")
    return value


def _size(value: int) -> int:
    if value != -1 and value < 1:
        raise _fail("a size from 1, or -1 where any size is accepted")
    return value


def _level(value: float) -> float:
    if not _LOWEST_LEVEL <= value <= _HIGHEST_LEVEL:
        raise _fail(f"a coverage from {_LOWEST_LEVEL} to {_HIGHEST_LEVEL}, e.g. 0.95")
    return value


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]  # compared with the files
Text = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_text)]
Identifier = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_identifier)]
Sentence = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_sentence)]
Location = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_location)]
Release = Annotated[str, Field(pattern=r"^\d\S*$", max_length=LONGEST_TEXT)]
ImageDigest = Annotated[str, AfterValidator(_image)]
Size = Annotated[int, AfterValidator(_size)]
Level = Annotated[float, AfterValidator(_level)]
Sha256 = Annotated[str, AfterValidator(_sha256)]
Commit = Annotated[str, AfterValidator(_commit)]
Content = Annotated[str, AfterValidator(_content)]
Utc = Annotated[datetime, AfterValidator(_utc)]
Finite = Annotated[float, AfterValidator(_finite)]
NotNegative = Annotated[float, AfterValidator(_finite), Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=10**15)]


class Absent(Part):
    """Replaces a waivable field that does not apply. Needs a second person and an end date."""

    absent: Annotated[bool, Field(description="true")]
    reason: Annotated[Sentence, Field(description="why the field does not apply")]
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
