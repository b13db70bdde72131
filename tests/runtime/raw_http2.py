"""A gRPC call in raw HTTP/2, for peers that no gRPC library lets us be."""

import asyncio
import struct

_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW_SIZE = 4
_EMPTY_MESSAGE = bytes(5)  # not compressed, no bytes


async def call_without_reading(port: int, path: str) -> asyncio.StreamWriter:
    """Begin a call on loopback with an empty request and a window of 0, and never read.

    The server may send no byte of an answer. The caller closes the connection.
    """
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, 0))
        + _frame(_SETTINGS, _ACK, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, _headers(path))
        + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)
    )
    await writer.drain()
    return writer


def _headers(path: str) -> bytes:
    """Return HPACK of a gRPC request: static names, literal values, nothing indexed."""
    post, http = b"\x83", b"\x86"
    named = (
        (b"\x04", path.encode()),
        (b"\x01", b"localhost"),
        (b"\x0f\x10", b"application/grpc"),  # content-type
        (b"\x00\x02te", b"trailers"),
    )
    return post + http + b"".join(name + bytes([len(value)]) + value for name, value in named)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = struct.pack(">I", len(payload))[1:]
    return length + bytes([kind, flags]) + struct.pack(">I", stream) + payload
