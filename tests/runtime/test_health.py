"""grpc.health.v1 of our servers, and its watchers during a drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.raw_http2 import call_without_reading
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.health import Health, HealthSwitch
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped
from understudy.runtime.serving import add_health
from understudy.runtime.transport.transport import LOCAL

States = health_pb2.HealthCheckResponse
LIMIT_S = 60.0


@asynccontextmanager
async def served() -> AsyncIterator[tuple[HealthSwitch, int]]:
    async with open_server() as server:
        health = add_health(server, ("a.Service",))
        port = LOCAL.bind(server, "127.0.0.1:0")
        await server.start()
        yield health, port


@asynccontextmanager
async def stub_at(port: int) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)


def asked(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", "a.Service"])
async def test_a_check_tells_the_current_state(service: str) -> None:
    async with served() as (health, port), stub_at(port) as stub:
        before = await stub.Check(asked(service))
        health.turn(Health.SERVING)

        after = await stub.Check(asked(service))

    assert (before.status, after.status) == (States.NOT_SERVING, States.SERVING)


async def test_a_check_of_an_unknown_service_is_not_found() -> None:
    async with served() as (_, port), stub_at(port) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.Check(asked("another"))

    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    assert failed.value.details() == "service another does not exist"


async def test_bytes_that_are_no_request_are_refused() -> None:
    async with served() as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watching = watch(b"\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await check(b"\xff\xff")

        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert await watching.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_watch_tells_each_change_and_ends_with_the_last() -> None:
    async with served() as (health, port), stub_at(port) as stub:
        watch = stub.Watch(asked(""))
        answers = aiter(watch)
        states = [(await anext(answers)).status]
        health.turn(Health.SERVING)
        states.append((await anext(answers)).status)
        health.turn(Health.NOT_SERVING)
        health.end_watches()

        states += [answer.status async for answer in answers]

    assert states == [States.NOT_SERVING, States.SERVING, States.NOT_SERVING]
    assert await watch.code() is grpc.StatusCode.OK


async def test_a_watch_of_an_unknown_service_tells_that_once() -> None:
    async with served() as (health, port), stub_at(port) as stub:
        answers = aiter(stub.Watch(asked("another")))
        first = await anext(answers)
        health.turn(Health.SERVING)
        health.end_watches()

        assert first.status == States.SERVICE_UNKNOWN
        assert [answer.status async for answer in answers] == []


@pytest.mark.fault
async def test_a_watcher_that_never_reads_does_not_hold_up_the_drain() -> None:
    stop = asyncio.Event()
    async with open_server() as server:
        health = add_health(server)
        port = LOCAL.bind(server, "127.0.0.1:0")
        serving = asyncio.ensure_future(
            serve_until_stopped(server, health, stop, DrainTimes(0.0, 0.2))
        )
        async with stub_at(port) as stub:
            await stub.Check(asked(""), wait_for_ready=True)  # it has started
            writer = await call_without_reading(port, "/grpc.health.v1.Health/Watch")
            async with asyncio.timeout(LIMIT_S):
                while not health.watches:  # noqa: ASYNC110 - the server sends no event for it
                    await asyncio.sleep(0)

            stop.set()
            await asyncio.wait_for(serving, LIMIT_S)

        writer.close()
        assert health.current is Health.NOT_SERVING


@pytest.mark.fault
async def test_watchers_that_read_end_before_the_grace() -> None:
    stop = asyncio.Event()
    async with open_server() as server:
        health = add_health(server)
        port = LOCAL.bind(server, "127.0.0.1:0")
        forever_s = 3600.0
        serving = asyncio.ensure_future(
            serve_until_stopped(server, health, stop, DrainTimes(0.0, forever_s))
        )
        async with stub_at(port) as stub:
            answers = aiter(stub.Watch(asked(""), wait_for_ready=True))
            await anext(answers)

            stop.set()
            await asyncio.wait_for(serving, LIMIT_S)

            assert [answer.status async for answer in answers][-1] == States.NOT_SERVING
