"""A router process as composed by `serve`: its settings take effect on the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from router.app import serve
from router.grpc_front import open_grpc_front
from router.settings import RouterSettings
from router.workers import reserved
from tests.router.test_metrics import scrape
from understudy.control.sealed_state import sealed
from understudy.domain.logged_ids import IdForm
from understudy.features.stores import open_writer
from understudy.registry.v1 import registry_pb2
from understudy.runtime.free_port import free_port
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc


@asynccontextmanager
async def open_router(root: Path, **settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    """Run a router without a registry, with a stored snapshot that has no deployment."""
    snapshot = registry_pb2.Snapshot(lineage="a test", sequence=1)
    (root / "last-snapshot").write_bytes(sealed(snapshot.SerializeToString()))
    open_writer(f"lmdb:{root / 'features.lmdb'}").close_now()
    stop = asyncio.Event()
    with reserved("127.0.0.1:0") as address:
        chosen = RouterSettings(
            listen=address,
            registry="127.0.0.1:1",
            features=f"lmdb:{root / 'features.lmdb'}",
            log_dir=root / "logs",
            log_ids=IdForm.UNKEYED,
            state_dir=root,
            unready_delay_s=0.0,
            io_nicer=0,  # its threads are this process's
            **settings,
        )
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(chosen, 0, stop, asyncio.Event(), open_grpc_front))
            async with grpc.aio.insecure_channel(address) as channel:
                await channel.channel_ready()
                yield channel
            stop.set()


async def status_of_score(channel: grpc.aio.Channel, *, model: str = "m") -> grpc.StatusCode:
    stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
    try:
        await stub.Score(pb.ScoreRequest(model=model), timeout=60.0, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_largest_request_bytes_takes_effect(tmp_path: Path) -> None:
    async with open_router(tmp_path, largest_request_bytes=4096) as channel:
        small = await status_of_score(channel, model="m" * 3_000)
        large = await status_of_score(channel, model="m" * 5_000)

    assert small is grpc.StatusCode.NOT_FOUND
    assert large is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_connection_at_its_age_limit_ends_and_calls_continue(tmp_path: Path) -> None:
    async with open_router(tmp_path, max_connection_age_s=1.0) as channel:
        before = await status_of_score(channel)
        async with asyncio.timeout(60):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        after = await status_of_score(channel)

    assert (before, after) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND)


async def test_metrics_are_served_until_the_router_has_stopped(tmp_path: Path) -> None:
    port = free_port()

    async with open_router(tmp_path, metrics_port=port) as channel:
        await status_of_score(channel)
        text = await asyncio.to_thread(scrape, port)

    assert 'understudy_router_refused_calls_total{kind="not_found"} 1.0' in text
    with pytest.raises(OSError, match="refused"):
        scrape(port)


async def test_a_young_connection_stays(tmp_path: Path) -> None:
    async with open_router(tmp_path) as channel:
        await status_of_score(channel)

        assert channel.get_state() is grpc.ChannelConnectivity.READY
