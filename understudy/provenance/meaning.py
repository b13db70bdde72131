"""Texts and digests that satisfy a form and say nothing."""

import re
import unicodedata
from hashlib import sha256

PLACEHOLDERS = frozenset(
    [
        *("unknown", "undefined", "unspecified", "n/a", "na", "nan", "none", "null", "nil"),
        *("not applicable", "not available", "not known", "not specified", "see above", "as above"),
        *("todo", "tbd", "tba", "tbc", "fixme", "pending", "later", "to do", "to be done"),
        *("xxx", "placeholder", "changeme", "change me", "example", "string", "text", "value"),
        *("foo", "bar", "baz", "asdf", "qwerty", "lorem", "ipsum", "dummy", "bla", "blah"),
        *("-", "--", "?", "???", "."),
    ]
)
_WORD = re.compile(r"[^\s,;/|.]+")
_ADDRESS = re.compile(r"<([^<>]+)>")
_NO_BYTES = sha256(b"").hexdigest()
_FEWEST_DIGITS = 8  # different ones; a computed digest has fewer once in 10^10
_SENTENCE_LETTERS = 8
_SENTENCE_KINDS = 4  # of letters


def is_placeholder(text: str) -> bool:
    """Return whether a text stands for one that is still to be written."""
    plain = text.strip().casefold().strip("<>[]{}()")
    words = _WORD.findall(plain)
    return plain in PLACEHOLDERS or all(word.strip("<>[]{}()") in PLACEHOLDERS for word in words)


def says_nothing(text: str) -> bool:
    """Return whether a text is a placeholder, one letter, or a letter that repeats."""
    return is_placeholder(text) or len({*_letters(text)}) < 2  # noqa: PLR2004 - two letters


def identifies_nothing(text: str) -> bool:
    """Return whether an id is a placeholder or says nothing; a number other than 0 is an id."""
    stripped = text.strip()
    if stripped.isdigit():
        return not stripped.strip("0")
    return says_nothing(text)


def is_no_sentence(text: str) -> bool:
    """Return whether a text is too short to explain anything."""
    letters = _letters(text)
    too_short = len(letters) < _SENTENCE_LETTERS or len({*letters}) < _SENTENCE_KINDS
    return says_nothing(text) or too_short


def is_typed_digest(digest: str) -> bool:
    """Return whether a digest was typed and not computed, as 1111 and abab, or is that of no bytes."""
    size = len(digest)
    periodic = any(digest[period:] == digest[:-period] for period in range(1, size // 2 + 1))
    return periodic or len({*digest}) < _FEWEST_DIGITS or digest == _NO_BYTES


def is_same_person(one: str, other: str) -> bool:
    """Return whether two names are spellings of one: case, blanks, a tag, a name before an address."""
    return _identity(one) == _identity(other)


def _identity(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    if address := _ADDRESS.search(plain):
        plain = address[1]
    user, at, domain = plain.partition("@")
    user = user.partition("+")[0] if at else user
    kept = (each for each in f"{user}{at}{domain}" if each.isalnum() or each == "@")
    return "".join(kept)


def _letters(text: str) -> str:
    return "".join(each for each in text.casefold() if each.isalnum())
