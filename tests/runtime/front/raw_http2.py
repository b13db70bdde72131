"""A caller that writes its own HTTP/2 frames, and so sends what no client library would."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.runtime.front.fronts import LIMIT_S

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS, _ACKNOWLEDGES = 1, 4, 1
_FRAME_HEADER_BYTES = 9


class RawCaller:
    """One connection. Calls have the numbers 1, 3, 5 and so on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._last_call = -1
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0))

    def begin(self, path: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> int:
        """Send the headers of a call, and no message; return its number."""
        self._last_call += 2
        fields = (
            *((b":method", b"POST"), (b":scheme", b"http"), (b":path", path)),
            *((b":authority", b"a"), (b"content-type", b"application/grpc"), (b"te", b"trailers")),
            *headers,
        )
        block = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)
        self._connection.sendall(_frame(_HEADERS, _END_HEADERS, self._last_call, block))
        return self._last_call

    def end(self, call: int, body: bytes) -> None:
        """Send the whole body of a call."""
        self._connection.sendall(_frame(_DATA, _END_STREAM, call, body))

    def wait_until_answered(self, call: int) -> None:
        """Return when an answer to `call` has ended."""
        for kind, flags, stream in self._frames():
            if stream == call and kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                return
        raise ConnectionError(f"the connection has ended without an answer to call {call}")

    def wait_until_closed(self) -> None:
        """Return when the server has closed the connection."""
        for _ in self._frames():
            pass

    def _frames(self) -> Iterator[tuple[int, int, int]]:
        """Yield kind, flags and stream of each frame that arrives."""
        while True:
            length = _FRAME_HEADER_BYTES + int.from_bytes(self._received[:3])
            if len(self._received) >= max(length, _FRAME_HEADER_BYTES):
                head, self._received = self._received[:length], self._received[length:]
                if head[3] == _SETTINGS and not head[4] & _ACKNOWLEDGES:
                    self._connection.sendall(_frame(_SETTINGS, _ACKNOWLEDGES, 0))
                yield head[3], head[4], int.from_bytes(head[5:_FRAME_HEADER_BYTES])
                continue
            received = self._connection.recv(65_536)
            if not received:
                return
            self._received += received


@contextmanager
def raw_caller(port: int, *, source: str = "127.0.0.1") -> Iterator[RawCaller]:
    """Yield a caller whose address is `source`."""
    with socket.create_connection(
        ("127.0.0.1", port), timeout=LIMIT_S, source_address=(source, 0)
    ) as connection:
        yield RawCaller(connection)


def _frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + content


def _text(text: bytes) -> bytes:
    """Return a text of HPACK, which is short and not compressed."""
    assert len(text) < 127, text  # a longer length has several bytes
    return bytes([len(text)]) + text
