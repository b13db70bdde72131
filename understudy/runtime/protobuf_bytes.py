"""Fields written to the wire without a message object, so that large bytes are not copied twice."""

from functools import lru_cache

_LENGTH_DELIMITED = 2
_SEVEN_BITS = 0x7F


@lru_cache(maxsize=4096)
def length_delimited(field_number: int, payload_bytes: int) -> bytes:
    """Return the prefix of a payload of that size: tag and length.

    Raises:
        ValueError: the field number needs more than one byte.
    """
    if not 1 <= field_number <= 15:  # noqa: PLR2004 - one-byte tags, protobuf encoding guide
        raise ValueError(f"field number: read {field_number}; accepted: 1 to 15")
    return bytes([field_number << 3 | _LENGTH_DELIMITED]) + varint(payload_bytes)


def varint(value: int) -> bytes:
    """Return `value` (not negative) in base 128, least significant group first."""
    encoded = bytearray()
    while value > _SEVEN_BITS:
        encoded.append(value & _SEVEN_BITS | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
