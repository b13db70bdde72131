"""Records in LMDB carry a checksum of their key and themselves, because files can be damaged."""

from zlib import crc32

_SEAL_BYTES = 4


def sealed(key: bytes, record: bytes) -> bytes:
    """Return the value that is stored for `record` under `key`."""
    return record + crc32(record, crc32(key)).to_bytes(_SEAL_BYTES, "little")


def unsealed(key: bytes, value: bytes) -> bytes | None:
    """Return the record in a stored value, or None if the value is damaged or another key's."""
    record = value[:-_SEAL_BYTES]
    if crc32(record, crc32(key)).to_bytes(_SEAL_BYTES, "little") != value[-_SEAL_BYTES:]:
        return None
    return record
