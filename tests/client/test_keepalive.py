"""Our own pings detect a silent connection, without a caller's deadline."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from tests.client.test_client import ScriptedService, served
from understudy.client.channels import CHANNEL_OPTIONS
from understudy.client.requests import score_request
from understudy.control import registry_watch
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

QUICK_MS = {"grpc.keepalive_time_ms": 1_000, "grpc.http2.ping_timeout_ms": 2_000}


@asynccontextmanager
async def wired(target: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Carry one connection to `target`; clearing the event cuts it without closing anything."""
    loop = asyncio.get_running_loop()
    is_open = asyncio.Event()
    is_open.set()

    async def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(ConnectionError):  # the test is over
            while received := await loop.sock_recv(source, 65_536):
                await is_open.wait()
                await loop.sock_sendall(sink, received)

    async def carry(listener: socket.socket) -> None:
        here, _ = await loop.sock_accept(listener)
        host, _, port = target.rpartition(":")
        with here, socket.create_connection((host, int(port))) as there:
            there.setblocking(False)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(pump(here, there))
                pumps.create_task(pump(there, here))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            carrying = tasks.create_task(carry(listener))
            yield f"127.0.0.1:{listener.getsockname()[1]}", is_open
            carrying.cancel()


@pytest.mark.parametrize(
    "ours", [CHANNEL_OPTIONS, registry_watch._CHANNEL_OPTIONS], ids=["client", "registry"]
)
async def test_a_silent_connection_ends_a_stream_without_deadline(ours: Any) -> None:
    options = [(name, QUICK_MS.get(name, value)) for name, value in ours]
    assert QUICK_MS.keys() <= dict(options).keys()

    with served(ScriptedService()) as target:
        async with (
            asyncio.timeout(120),
            wired(target) as (address, is_open),
            grpc.aio.insecure_channel(address, options=options) as channel,
        ):
            stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
            call = stub.ScoreStream()
            asked = score_request("fraud", {"user": "u1"})
            await call.write(pb.ScoreStreamRequest(request=asked))
            answer = await call.read()
            is_open.clear()
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await call.read()

    assert answer.response.score == 0.75
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
