"""The methods of a server by path, from grpc's handler objects."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from understudy.runtime.front.context import AsgiContext

_MOST_REMEMBERED = 1_000  # a handler may accept any path


@dataclass(frozen=True, slots=True)
class Method:
    """One method, with the functions between bytes and the messages of its handler."""

    behaviour: Callable[[Any, Any], Any]
    from_bytes: Callable[[bytes], Any] | None
    to_bytes: Callable[[Any], bytes] | None
    takes_stream: bool
    answers_stream: bool

    def read(self, request: Any) -> Any:
        """Return a request as its handler takes it; a stream already consists of messages."""
        if self.from_bytes is None or self.takes_stream:
            return request
        return self.from_bytes(request)

    def messages(self, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Return a stream of requests as its handler takes it."""
        return requests if self.from_bytes is None else _each(requests, self.from_bytes)

    def written(self, answer: Any) -> bytes:
        """Return an answer of the handler as bytes.

        Raises:
            TypeError: it is none.
        """
        message = answer if self.to_bytes is None else self.to_bytes(answer)
        if not isinstance(message, bytes):
            raise TypeError(f"answer: read {type(message).__name__}; accepted: bytes")
        return message


@dataclass(frozen=True, slots=True)
class _Call:
    """The call of which a generic handler returns the method."""

    method: str
    invocation_metadata: Any


class MethodTable:
    """Finds methods in handlers, and remembers them: a handler is asked once for each path."""

    def __init__(self) -> None:
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._found: dict[bytes, Method] = {}

    def add(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._handlers += handlers

    def find(self, path: bytes, context: AsgiContext) -> Method | None:
        """Return the method with exactly this path, None if no handler has it."""
        return self._found.get(path) or self._find(path, context)

    def _find(self, path: bytes, context: AsgiContext) -> Method | None:
        call: Any = _Call(path.decode("latin-1"), context.invocation_metadata())
        for each in self._handlers:
            found: Any = each.service(call)
            if found is not None:
                method = _method_of(found)
                if len(self._found) < _MOST_REMEMBERED:
                    self._found[path] = method
                return method
        return None


def _method_of(handler: Any) -> Method:
    shapes = (
        handler.unary_unary,
        handler.unary_stream,
        handler.stream_unary,
        handler.stream_stream,
    )
    return Method(
        next(each for each in shapes if each is not None),
        handler.request_deserializer,
        handler.response_serializer,
        handler.request_streaming,
        handler.response_streaming,
    )


async def _each(requests: AsyncIterator[bytes], read: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield read(request)
