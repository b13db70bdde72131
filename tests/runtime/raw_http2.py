"""A gRPC call in raw HTTP/2, for peers that no gRPC library lets us be."""

import asyncio
import struct

_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 4, 6, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW_SIZE = 4
_EMPTY_MESSAGE = bytes(5)  # not compressed, no bytes
_FRAME_BYTES = 16_384
_MESSAGE = b"\0" + struct.pack(">I", _FRAME_BYTES - 5) + bytes(_FRAME_BYTES - 5)
_INITIAL_BYTES = 65_535  # of both windows, until the server says otherwise
_ROUNDS = 100


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


async def bytes_taken_unread(port: int, path: str, *, most: int) -> int:
    """Send messages on one call as far as the server allows; return their bytes.

    It ends above `most`, or when the server has allowed no more in many rounds. A round ends with the
    answer to settings: the server has then read all that was sent before. (It ends connections
    with many pings.)
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        windows, sent = _Windows(), 0
        for number in range(_ROUNDS):
            writer.write(_frame(_SETTINGS, 0, 0, b""))
            if number == 0:
                writer.write(_frame(_HEADERS, _END_HEADERS, 1, _headers(path)))
            while windows.left >= _FRAME_BYTES and sent <= most:
                writer.write(_frame(_DATA, 0, 1, _MESSAGE))
                windows.connection -= _FRAME_BYTES
                windows.stream -= _FRAME_BYTES
                sent += _FRAME_BYTES
            await writer.drain()
            await _read_round(reader, writer, windows)
    finally:
        writer.close()
        await writer.wait_closed()
    return sent


class _Windows:
    """The bytes that may still be sent."""

    def __init__(self) -> None:
        self.connection = self.stream = self._initial = _INITIAL_BYTES

    @property
    def left(self) -> int:
        return min(self.connection, self.stream)

    def apply(self, kind: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream:
                self.stream += more
            else:
                self.connection += more
        elif kind == _SETTINGS:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == _INITIAL_WINDOW_SIZE:
                    self.stream += value - self._initial
                    self._initial = value


async def _read_round(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, windows: _Windows
) -> None:
    """Read up to the answer to our settings; answer pings and settings."""
    while True:
        head = await reader.readexactly(9)
        payload = await reader.readexactly(int.from_bytes(head[:3]))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
        if flags & _ACK and kind == _SETTINGS:
            return
        if kind in {_SETTINGS, _PING} and not flags & _ACK:
            windows.apply(kind, stream, payload)
            writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _WINDOW_UPDATE:
            windows.apply(kind, stream, payload)


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
