"""Request ids: UUIDs of version 7 (RFC 9562, section 5.7). The only place that forms them.

Clients and router use the same form, so the ids in a log sort by time whichever side generated them.
"""

import os
import time

_RANDOM_BYTES = 10
# By random hex digit: that of the variant's two bits and of the two lower random ones.
_VARIANT_OF = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def new_request_id() -> str:
    """Return a new id: unique, and ordered by time to the millisecond."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(_RANDOM_BYTES))


def uuid7(utc_ms: int, drawn: bytes) -> str:
    """Return the UUID of a time and 10 random bytes, 6 bits of which hold version and variant.

    Args:
        utc_ms: milliseconds since 1970 UTC, below 2**48.
        drawn: 10 bytes.
    """
    return uuid7_of_digits(f"{utc_ms:012x}", drawn.hex())


def uuid7_of_digits(timed: str, drawn: str) -> str:
    """Return the UUID of hexadecimal digits in lower case: 12 of the time, and 20 random ones."""
    # On the request path: slices of strings are faster than arithmetic on 128 bits.
    variant = _VARIANT_OF[drawn[4]]
    return f"{timed[:8]}-{timed[8:]}-7{drawn[1:4]}-{variant}{drawn[5:8]}-{drawn[8:]}"
