"""Bins as clients of other languages may write them: any particle type with any bytes.

The Python client writes only valid UTF-8, and ends its process when it reads anything else.
"""

import hashlib
import socket
import struct
from collections.abc import Mapping

from tests.features import aerospike_wire as wire

TEXT = wire.STRING
LATIN_1 = "Müller".encode("latin-1")
_WRITE, _KEY_IS_TEXT = 1, b"\x03"


def put_bins(
    port: int, namespace: str, set_name: str, key: str, bins: Mapping[str, wire.Bin]
) -> None:
    """Write a record by the wire protocol; bins are particle types and bytes, by name."""
    digest = hashlib.new("ripemd160", set_name.encode() + _KEY_IS_TEXT + key.encode()).digest()
    fields = [
        _field(wire.NAMESPACE_FIELD, namespace.encode()),
        _field(wire.SET_FIELD, set_name.encode()),
        _field(wire.DIGEST_FIELD, digest),
    ]
    operations = [_operation(name.encode(), *content) for name, content in bins.items()]
    head = struct.pack(
        ">BBBBBBIIIHH", 22, 0, _WRITE, 0, 0, 0, 0, 0, 1000, len(fields), len(operations)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60.0) as connection:
        connection.sendall(wire.frame(wire.MESSAGE, b"".join([head, *fields, *operations])))
        reply = connection.recv(30, socket.MSG_WAITALL)
    assert reply[13] == wire.OK, f"result code {reply[13]}"


def _field(kind: int, content: bytes) -> bytes:
    return struct.pack(">IB", len(content) + 1, kind) + content


def _operation(name: bytes, particle: int, content: bytes) -> bytes:
    head = struct.pack(
        ">IBBBB", 4 + len(name) + len(content), wire.OP_WRITE, particle, 0, len(name)
    )
    return head + name + content
