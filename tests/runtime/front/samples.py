"""A service with every shape of method, for the contract of both fronts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from router.edge.request_values import trace_of
from understudy.domain.errors import OverloadedError
from understudy.runtime.grpc_errors import abort_with

SERVICE = "sample.Service"
MOST_BYTES = 64 * 1024
MOST_DUE_CALLS = 6  # of one address
Context = grpc.aio.ServicerContext[Any, Any]
ODD_TEXT = "100 % of it: Zürich\n日本 \x01"


class SampleService:
    """Answers with its requests; `begun` and `cancelled` count calls that wait to be ended."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.release = asyncio.Event()

    def handlers(self) -> grpc.GenericRpcHandler:
        methods: dict[str, Any] = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Refuse": grpc.unary_unary_rpc_method_handler(self.refuse),
            "Overload": grpc.unary_unary_rpc_method_handler(self.overload),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Large": grpc.unary_unary_rpc_method_handler(self.large),
            "Remaining": grpc.unary_unary_rpc_method_handler(self.remaining),
            "Metadata": grpc.unary_unary_rpc_method_handler(self.metadata),
            "Hold": grpc.unary_unary_rpc_method_handler(self.hold),
            "Trace": grpc.unary_unary_rpc_method_handler(self.trace),
            "Peer": grpc.unary_unary_rpc_method_handler(self.peer),
            "Names": grpc.unary_unary_rpc_method_handler(self.names),
            "Counts": grpc.unary_unary_rpc_method_handler(self.counts),
            "HoldStream": grpc.unary_stream_rpc_method_handler(self.hold_stream),
            "Repeat": grpc.unary_stream_rpc_method_handler(self.repeat),
            "Count": grpc.stream_unary_rpc_method_handler(self.count),
            "Join": grpc.stream_unary_rpc_method_handler(self.join),
            "Mirror": grpc.stream_stream_rpc_method_handler(self.mirror),
            "MirrorByWriting": grpc.stream_stream_rpc_method_handler(self.mirror_by_writing),
            "FailLate": grpc.unary_stream_rpc_method_handler(self.fail_late),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def echo(self, request: bytes, _context: Context) -> bytes:
        return request

    async def refuse(self, _request: bytes, context: Context) -> bytes:
        trailers: Any = (("why-not", "no room"), ("why-not-bin", b"\x00\xff"))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, ODD_TEXT, trailers)

    async def overload(self, _request: bytes, context: Context) -> bytes:
        await abort_with(context, OverloadedError("the list", retry_after_ms=20), rpc="Overload")

    async def fail(self, _request: bytes, context: Context) -> bytes:
        await abort_with(context, KeyError("secret"), rpc="Fail")

    async def large(self, request: bytes, _context: Context) -> bytes:
        return bytes(int(request))

    async def remaining(self, _request: bytes, context: Context) -> bytes:
        return str(context.time_remaining()).encode()

    async def metadata(self, request: bytes, context: Context) -> bytes:
        given = dict(context.invocation_metadata() or ())
        value = given.get(request.decode(), "")
        return value if isinstance(value, bytes) else str(value).encode()

    async def trace(self, _request: bytes, context: Context) -> bytes:
        trace = trace_of(context)
        return b"none" if trace is None else f"{trace.traceparent} {trace.state}".encode()

    async def peer(self, _request: bytes, context: Context) -> bytes:
        return context.peer().encode()

    async def names(self, _request: bytes, context: Context) -> bytes:
        return b" ".join(context.auth_context().get("x509_subject_alternative_name", []))

    async def counts(self, _request: bytes, _context: Context) -> bytes:
        return f"{self.begun} {self.cancelled}".encode()

    async def hold(self, request: bytes, _context: Context) -> bytes:
        self.begun += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return request

    async def hold_stream(self, request: bytes, _context: Context) -> AsyncIterator[bytes]:
        try:
            yield request
            await self.release.wait()
        finally:
            self.cancelled += 1

    async def repeat(self, request: bytes, _context: Context) -> AsyncIterator[bytes]:
        for place in range(int(request)):
            yield str(place).encode()

    async def count(self, requests: AsyncIterator[bytes], _context: Context) -> bytes:
        read = 0
        async for _ in requests:
            read += 1
        return str(read).encode()

    async def join(self, requests: AsyncIterator[bytes], _context: Context) -> bytes:
        return b",".join([request async for request in requests])

    async def mirror(
        self, requests: AsyncIterator[bytes], _context: Context
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def mirror_by_writing(self, requests: AsyncIterator[bytes], context: Context) -> None:
        try:
            async for request in requests:
                await context.write(request)
        finally:  # grpc.aio may let the requests end instead of cancelling the handler
            self.cancelled += 1

    async def fail_late(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield request
        await context.abort(grpc.StatusCode.DATA_LOSS, "half of it is lost")
