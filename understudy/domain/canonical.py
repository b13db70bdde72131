"""Canonical JSON and digests: the same text for a value in every process and language.

The text is that of RFC 8785 (JSON Canonicalization Scheme). Its numbers are IEEE 754 doubles, so
an integer that a double cannot hold exactly is written as a string: see `exact_integer`.
"""

from collections.abc import Mapping
from hashlib import sha256

import rfc8785

_GREATEST_EXACT = (1 << 53) - 1  # RFC 7493 (I-JSON), section 2.2
_FIRST_WITH_EXPONENT = 10**21  # ECMAScript writes larger doubles as 1e+21


def canonical_json(value: object) -> str:
    """Return the RFC 8785 text of `value`.

    Raises:
        ValueError: a number is NaN, infinite, or an integer beyond 2**53 - 1; a string is not
            Unicode; or a value is not JSON.
        RecursionError: the value is nested too deeply.
    """
    # The library checks types itself, and names a value that it rejects.
    return rfc8785.dumps(value).decode()  # type: ignore[arg-type]


def digest_of(form: str, content: Mapping[str, object]) -> str:
    """Return the sha256 of the canonical JSON of `content` and the name of its form.

    Args:
        form: the kind of document and the version of its layout, e.g. "deployment/1". It tells a
            reader in another language how to build the document; a changed layout takes the next
            number, so that a digest of the old layout is not mistaken for one of the new.
        content: the other members of the document.
    """
    return digest_of_text(canonical_document(form, content))


def canonical_document(form: str, content: Mapping[str, object]) -> str:
    """Return the text that `digest_of` hashes: `content` with the member `format`."""
    return canonical_json({**content, "format": f"understudy/{form}"})


def digest_of_text(text: str) -> str:
    """Return the sha256 of `text` in UTF-8, as 64 lower-case hex digits."""
    return sha256(text.encode()).hexdigest()


def exact_integer(value: int) -> int | str:
    """Return `value`, as a decimal string if a double would round it.

    The reader of the document knows which members are integers, and applies `int()` to either form.
    """
    return value if -_GREATEST_EXACT <= value <= _GREATEST_EXACT else str(value)


def number_as_written(literal: str) -> int | float:
    """Return the number of a JSON integer literal, for `json.loads(..., parse_int=...)`.

    Canonical JSON writes the double 1e20 with 21 digits; it is read as that double again. An
    integer that no double holds stays an integer, and `canonical_json` rejects it.
    """
    value = int(literal)
    if exact_integer(value) is value or abs(value) >= _FIRST_WITH_EXPONENT:
        return value
    as_double = float(value)
    return as_double if canonical_json(as_double) == literal else value
