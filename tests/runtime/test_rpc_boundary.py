"""Generated servicers behind the boundary: bytes in, our table of errors out."""

import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from weakref import WeakSet

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from understudy.domain.errors import OverloadedError
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.grpc_errors import PUSHBACK_KEY
from understudy.runtime.parsing import RequestForm
from understudy.runtime.rpc_boundary import Context, add_bounded, bounded_handler
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.transport import LOCAL

REFERENCES_TO_A_LISTED_ITEM = 3  # list, loop variable, argument
NO_MESSAGE = b"\x0a\x05abc"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class Failing(health_pb2_grpc.HealthServicer):
    """Fails each call with the exceptions that it is given."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def Check(  # noqa: N802 - name given by the .proto
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,
    ) -> health_pb2.HealthCheckResponse:
        raise self._error

    async def Watch(  # noqa: N802 - name given by the .proto
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        yield health_pb2.HealthCheckResponse()
        raise self._error


@asynccontextmanager
async def served(add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[grpc.aio.Channel]:
    async with open_server() as server:
        add(server)
        port = LOCAL.bind(server, "127.0.0.1:0")
        async with started(server), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel


def add_failing(server: grpc.aio.Server, error: Exception) -> None:
    add_bounded(server, partial(health_pb2_grpc.add_HealthServicer_to_server, Failing(error)))


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


class Refusing(health_pb2_grpc.HealthServicer):
    """Fails each call with an exception of its own."""

    async def Check(  # noqa: N802 - name given by the .proto
        self, request: Any, context: Context
    ) -> health_pb2.HealthCheckResponse:
        raise OverloadedError("it", retry_after_ms=1)

    async def Watch(  # noqa: N802 - name given by the .proto
        self, request: Any, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        yield health_pb2.HealthCheckResponse()
        raise OverloadedError("it", retry_after_ms=1)


class Held:
    """A request that can be asked if it is still there."""


class HeldForm:
    """Reads any bytes as a request, and knows the requests that still exist."""

    kind = health_pb2.HealthCheckRequest

    def __init__(self) -> None:
        self.existing: WeakSet[Held] = WeakSet()

    def read(self, _received: bytes, /) -> Held:
        request = Held()
        self.existing.add(request)
        return request


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("path", [CHECK, WATCH])
async def test_the_request_of_a_refused_call_is_freed_without_the_collector(
    path: str, no_collection: None
) -> None:
    """gRPC keeps the error of a call with the call, and its frames had both: 8 MB each."""
    form = HeldForm()

    def add(server: grpc.aio.Server) -> None:
        added = partial(health_pb2_grpc.add_HealthServicer_to_server, Refusing())
        add_bounded(server, added, [form])

    async with served(add) as channel:
        for _ in range(20):
            call: Any = channel.unary_stream(path)
            with pytest.raises(grpc.aio.AioRpcError):
                async for _ in call(b"", timeout=60.0):
                    pass
        existing = len(form.existing)

    assert existing <= 2  # of calls that are just ending


class KeptBytes(RequestForm[health_pb2.HealthCheckRequest]):
    """Keeps the bytes that it reads, to be asked who else does."""

    def __init__(self) -> None:
        super().__init__(health_pb2.HealthCheckRequest)
        self.kept: list[bytes] = []

    def read(self, received: bytes) -> health_pb2.HealthCheckRequest:
        self.kept.append(received)
        return super().read(received)


async def test_the_last_message_of_a_refused_upload_is_freed_without_the_collector(
    no_collection: None,
) -> None:
    """gRPC's iterator of messages refers to itself: uploads of 7 MB stayed, one for each call."""
    form = KeptBytes()

    async def upload(
        requests: AsyncIterator[health_pb2.HealthCheckRequest], _context: Context
    ) -> health_pb2.HealthCheckResponse:
        await anext(requests)
        raise OverloadedError("it", retry_after_ms=1)

    raw: Any = grpc.stream_unary_rpc_method_handler(
        upload, health_pb2.HealthCheckRequest.FromString
    )
    handlers = {"Upload": bounded_handler("Upload", raw, {form.kind: form})}

    def add(server: grpc.aio.Server) -> None:
        handler = grpc.method_handlers_generic_handler("test.Uploads", handlers)
        server.add_generic_rpc_handlers((handler,))

    async with served(add) as channel:
        call: Any = channel.stream_unary("/test.Uploads/Upload")
        for _ in range(20):
            await failure_of(call(iter([b"\x0a\x03abc"] * 2)))
        held = [each for each in form.kept if sys.getrefcount(each) > REFERENCES_TO_A_LISTED_ITEM]

    assert len(form.kept) == 20
    assert len(held) <= 2  # of calls that are just ending


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECT])
async def test_bytes_that_are_no_message_are_invalid_and_write_no_line(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(lambda server: _discard(add_health_and_reflection(server, ()))) as channel:
        with capture_logs() as logged, caplog.at_level(logging.INFO):
            method: Any = channel.stream_stream(path)

            error = await failure_of(method(iter([NO_MESSAGE])).read())

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "read '5 bytes'; accepted: a protobuf message" in str(error.details())
    assert logged == []
    assert caplog.records == []


def _discard(_switch: object) -> None:
    pass


@pytest.mark.parametrize("shape", ["unary_unary", "unary_stream"])
async def test_the_text_of_a_defect_goes_to_the_log_and_not_to_the_caller(shape: str) -> None:
    async with served(partial(add_failing, error=KeyError("secret"))) as channel:
        path = CHECK if shape == "unary_unary" else WATCH
        method: Any = getattr(channel, shape)(path)
        call = method(b"")
        with capture_logs() as logged:
            if shape == "unary_stream":
                await call.read()
            error = await failure_of(call if shape == "unary_unary" else call.read())

    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert [(line["event"], repr(line["exc_info"])) for line in logged] == [
        ("rpc_failed", "KeyError('secret')")
    ]


async def test_an_error_of_ours_has_its_status_and_the_time_of_a_retry() -> None:
    full = OverloadedError("the list", retry_after_ms=20)
    async with served(partial(add_failing, error=full)) as channel:
        check: Any = channel.unary_unary(CHECK)

        error = await failure_of(check(b""))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (PUSHBACK_KEY, "20") in tuple(error.trailing_metadata() or ())


async def test_a_method_that_a_servicer_leaves_to_generated_code_is_unimplemented() -> None:
    async with served(partial(add_failing, error=KeyError())) as channel:
        list_all: Any = channel.unary_unary("/grpc.health.v1.Health/List")
        with capture_logs() as logged:
            error = await failure_of(list_all(b""))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert logged == []


async def test_the_bounds_of_a_form_replace_the_general_ones() -> None:
    form = RequestForm(health_pb2.HealthCheckRequest, most_fields=10_000)
    server = partial(
        add_bounded,
        add=partial(health_pb2_grpc.add_HealthServicer_to_server, Failing(KeyError())),
        forms=(form,),
    )
    async with served(server) as channel:
        check: Any = channel.unary_unary(CHECK)

        error = await failure_of(check(b"\x0a\x00" * 10_001))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "all fields: read more than 10000" in str(error.details())
