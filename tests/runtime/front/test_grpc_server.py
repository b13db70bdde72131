"""Several gRPC servers that act as one server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.raw_http2 import bytes_taken_unread
from understudy.runtime.front.grpc_server import (
    STREAM_WINDOW_BYTES,
    ServerGroup,
    open_server,
    started,
)
from understudy.runtime.health import Health
from understudy.runtime.serving import add_health_and_reflection
from understudy.runtime.transport.transport import LOCAL

CALLS = 24


class Held:
    """A method whose calls are blocked until they are released."""

    def __init__(self) -> None:
        self.begun = 0
        self.release = asyncio.Event()

    async def hold(self, request: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        self.begun += 1
        await self.release.wait()
        return request

    def handler(self) -> grpc.GenericRpcHandler:
        method: Any = grpc.unary_unary_rpc_method_handler(self.hold)
        return grpc.method_handlers_generic_handler("held.Service", {"Hold": method})


def own_channel(port: int) -> grpc.aio.Channel:
    """Open a channel with a separate connection."""
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
    )


def hold(channel: grpc.aio.Channel, request: bytes) -> Any:
    method: Any = channel.unary_unary("/held.Service/Hold")
    return method(request)


@asynccontextmanager
async def opened(listeners: int, held: Held) -> AsyncIterator[tuple[ServerGroup, int]]:
    async with AsyncExitStack() as servers:
        group = ServerGroup(
            [
                await servers.enter_async_context(open_server(reuse_port=True))
                for _ in range(listeners)
            ]
        )
        group.add_generic_rpc_handlers((held.handler(),))
        yield group, LOCAL.bind(group, "127.0.0.1:0")


def listening(port: int) -> int:
    return sum(
        each.status == psutil.CONN_LISTEN and each.laddr.port == port
        for each in psutil.Process().net_connections(kind="tcp")
    )


@pytest.mark.parametrize("listeners", [1, 3])
async def test_a_group_listens_on_one_port_and_drains_all_its_calls(listeners: int) -> None:
    held = Held()
    async with opened(listeners, held) as (group, port), started(group):
        assert listening(port) == listeners
        channels = [own_channel(port) for _ in range(CALLS)]
        async with asyncio.timeout(120):
            calls: list[Any] = [
                hold(channel, str(place).encode()) for place, channel in enumerate(channels)
            ]
            while held.begun < CALLS:  # noqa: ASYNC110 - the server sends no event for started calls
                await asyncio.sleep(0)

            stopping = asyncio.ensure_future(group.stop(60.0))
            held.release.set()

            assert [await call for call in calls] == [str(place).encode() for place in range(CALLS)]
            await stopping
        assert not listening(port)
        for channel in channels:
            await channel.close()


async def test_every_server_of_a_group_reports_the_same_health() -> None:
    async with opened(3, Held()) as (group, port):
        switch = add_health_and_reflection(group, ("held.Service",))
        switch.turn(Health.SERVING)

        async with started(group):
            for _ in range(12):
                async with own_channel(port) as channel:
                    stub: Any = health_pb2_grpc.HealthStub(channel)
                    answer = await stub.Check(health_pb2.HealthCheckRequest(service="held.Service"))
                    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_server_is_stopped_although_its_block_fails() -> None:
    async with opened(2, Held()) as (group, port):
        with pytest.raises(ZeroDivisionError):
            async with started(group):
                _ = listening(port) / 0

        assert not listening(port)


async def test_a_server_that_was_bound_and_never_started_leaves_its_port() -> None:
    with pytest.raises(ZeroDivisionError):
        async with opened(2, Held()) as (_, port):
            _ = listening(port) / 0

    assert not listening(port)


async def test_a_server_that_was_stopped_is_freed_once_more_without_harm() -> None:
    async with opened(2, Held()) as (group, port):
        await group.start()
        await group.stop(None)

    assert not listening(port)


@pytest.mark.fault
async def test_a_stream_that_is_not_read_sends_no_more_than_its_window() -> None:
    """Its bytes wait in gRPC, below all our limits: by default there were tens of megabytes."""
    read = asyncio.Event()

    async def wait(_requests: AsyncIterator[bytes], _context: Any) -> None:
        await read.wait()

    method: Any = grpc.stream_stream_rpc_method_handler(wait)
    async with open_server() as server:
        handlers = {"Wait": method}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("held.S", handlers),))
        port = LOCAL.bind(server, "127.0.0.1:0")
        await server.start()
        taken = await bytes_taken_unread(port, "/held.S/Wait", most=4 * STREAM_WINDOW_BYTES)
        read.set()

    assert STREAM_WINDOW_BYTES / 2 <= taken <= STREAM_WINDOW_BYTES
