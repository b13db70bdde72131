"""Requests of a call from ASGI events: its head, its one message, or its stream of messages."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc

from understudy.runtime.front.context import AsgiContext, CallEnd
from understudy.runtime.front.frames import (
    HEADER_BYTES,
    IDENTITY,
    Packed,
    Refusal,
    is_known_encoding,
    only_message,
    refusal_of_rest,
    split_frames,
    timeout_s,
    unpacked,
)

Receive = Callable[[], Awaitable[dict[str, Any]]]
_BODY = "http.request"
_GRPC = b"application/grpc"
_GRPC_KINDS = (b"application/grpc+", b"application/grpc;")


@dataclass(frozen=True, slots=True)
class NotGrpc:
    """An answer to a request that is no gRPC call, so its peer would not read a gRPC status."""

    status: int
    text: bytes


class Head(NamedTuple):
    """The headers of a call that decide how it is read.

    A tuple, because there is one per call: a frozen dataclass takes twice as long to create.
    """

    timeout_s: float | None
    encoding: bytes


def read_head(method: str, headers: Mapping[bytes, bytes]) -> Head | NotGrpc | Refusal:
    """Return how to read a call, or its refusal."""
    other = _other_protocol(method, headers)
    if other is not None:
        return other
    encoding = headers.get(b"grpc-encoding", IDENTITY)
    if encoding is not IDENTITY and not is_known_encoding(encoding):
        why = f"grpc-encoding: read {_text(encoding)}; accepted: identity, gzip, deflate"
        return Refusal(grpc.StatusCode.UNIMPLEMENTED, why)
    raw_timeout = headers.get(b"grpc-timeout")
    if raw_timeout is None:
        return Head(None, encoding)
    seconds = timeout_s(raw_timeout)
    if seconds is None:
        why = (
            f"grpc-timeout: read {_text(raw_timeout)}; accepted: 1 to 8 digits and a unit of HMSmun"
        )
        return Refusal(grpc.StatusCode.INTERNAL, why)
    return Head(seconds, encoding)


def _other_protocol(method: str, headers: Mapping[bytes, bytes]) -> NotGrpc | None:
    if method != "POST":
        return NotGrpc(405, b"method: accepted: POST, as gRPC sends it\n")
    kind = headers.get(b"content-type", b"")
    if kind != _GRPC and not kind.startswith(_GRPC_KINDS):
        return NotGrpc(415, b"content-type: accepted: application/grpc\n")
    if headers.get(b"te") != b"trailers":
        return NotGrpc(400, b"te: accepted: trailers; the status of a gRPC call is a trailer\n")
    return None


def _text(header: bytes) -> str:
    return repr(header.decode("latin-1"))


class RequestReader:
    """Reads the messages of a call. The status of a call whose body is faulty is set here."""

    def __init__(
        self, receive: Receive, context: AsgiContext, encoding: bytes, most_bytes: int
    ) -> None:
        """`most_bytes`: of a message, compressed or not."""
        self.receive = receive
        self.has_ended = False  # then `receive` tells only that the caller has disconnected
        self.is_due = False  # one message is to arrive, within the server's limit
        self.looks = 0  # of the server, at a message that is due
        self._context = context
        self._encoding = encoding
        self._most_bytes = most_bytes
        self._messages: deque[bytes | Packed] = deque()
        self._chunks: list[bytes] = []
        self._chunk_bytes = 0
        self._needed_bytes = HEADER_BYTES

    async def only(self) -> bytes:
        """Return the one message of a call that has exactly one.

        Raises:
            grpc.aio.AbortError: the call has the status of its fault.
        """
        self.is_due = True
        event = await self.receive()
        if event["type"] == _BODY and not event["more_body"]:
            message = only_message(event["body"])
            if message is not None and len(message) <= self._most_bytes:
                self.has_ended = True
                return message
        await self._take(event)
        while not self.has_ended:
            if len(self._messages) > 1:
                break
            await self._take(await self.receive())
        if len(self._messages) != 1:
            count = "none" if not self._messages else "more than one"
            why = f"messages of the request: read {count}; accepted: one"
            await self._context.abort(grpc.StatusCode.UNIMPLEMENTED, why)
        return await self._next()

    def __aiter__(self) -> "RequestReader":
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self.has_ended:
                raise StopAsyncIteration
            await self._take(await self.receive())
        return await self._next()

    async def _next(self) -> bytes:
        """Return the next message that has arrived."""
        message = self._messages.popleft()
        if not isinstance(message, Packed):
            return message
        content = unpacked(message, self._encoding, most_bytes=self._most_bytes)
        if isinstance(content, Refusal):
            await self._context.abort(content.code, content.why)
        return content

    async def _take(self, event: dict[str, Any]) -> None:
        if event["type"] != _BODY:
            await self._leave()
        body = event["body"]
        if body:
            self._chunks.append(body)
            self._chunk_bytes += len(body)
        if self._chunk_bytes >= self._needed_bytes:
            await self._split()
        if not event["more_body"]:
            self.has_ended = True
            refusal = refusal_of_rest(b"".join(self._chunks))
            if refusal is not None:
                await self._context.abort(refusal.code, refusal.why)

    async def _split(self) -> None:
        received = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        split = split_frames(received, most_bytes=self._most_bytes)
        if isinstance(split, Refusal):
            self._chunks.clear()
            await self._context.abort(split.code, split.why)
        self._messages.extend(split.messages)
        self._chunks = [split.rest] if split.rest else []
        self._chunk_bytes = len(split.rest)
        self._needed_bytes = split.needed_bytes

    async def _leave(self) -> None:
        """End the call of a caller that has disconnected: this waits to be cancelled."""
        self.has_ended = True
        self._context.cancel(CallEnd.GONE)
        await asyncio.get_running_loop().create_future()
