"""Request ids: UUIDs of version 7 (RFC 9562, section 5.7). The only place that generates them.

Clients and router use the same form, so the ids in a log sort by time whichever side generated them.
"""

import os
import time

_RANDOM_BYTES = 10
_VARIANT_OF = "89ab"  # hex digit of the variant's two bits and of the two random ones below them


def new_request_id() -> str:
    """Return a new id: unique, and ordered by time to the millisecond."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(_RANDOM_BYTES))


def uuid7(utc_ms: int, drawn: bytes) -> str:
    """Return the UUID of a time and 10 random bytes, 6 bits of which hold version and variant.

    Args:
        utc_ms: milliseconds since 1970 UTC, below 2**48.
        drawn: 10 bytes.
    """
    # On the request path: slices of strings are faster than arithmetic on 128 bits.
    time_text, text = f"{utc_ms:012x}", drawn.hex()
    variant = _VARIANT_OF[drawn[2] >> 4 & 3]
    return f"{time_text[:8]}-{time_text[8:]}-7{text[1:4]}-{variant}{text[5:8]}-{text[8:]}"
