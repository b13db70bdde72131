"""Canonical JSON and digests: the same value has the same text, in every process."""

import json
from hashlib import sha256


def canonical_json(value: object) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: a number is NaN or infinite.
        TypeError: a value is not JSON.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest_of(value: object) -> str:
    """Return the sha256 of the canonical JSON of `value`, as 64 lower-case hex digits."""
    return digest_of_text(canonical_json(value))


def digest_of_text(text: str) -> str:
    """Return the sha256 of `text` in UTF-8, as 64 lower-case hex digits."""
    return sha256(text.encode()).hexdigest()
