"""Each kind of refused call, with the server that refuses it and the state in which it does."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from benchmarks.refused_by_full_router import (
    CAPPED_ROUTER,
    FULL_ROUTER,
    refused_by_capped_router,
    refused_by_full_router,
    unread_streams,
)
from benchmarks.refused_by_registry import refused_by_registry
from benchmarks.refused_kinds import Case, Target, refused_by_router
from benchmarks.refused_while_full import MOST_UPLOADS, refused_by_full_registry
from benchmarks.request_path import RequestPath, open_request_path
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec

ENTITY_ID = "u1"


@dataclass(frozen=True, slots=True)
class Refusals:
    """Running servers, and the calls that they refuse."""

    router: Target
    floor: Target  # it reads nothing
    cases: Sequence[Case]


@asynccontextmanager
async def open_refusals(folder: Path) -> AsyncIterator[Refusals]:
    """Start a router, two that a few calls fill, a registry, and a server that reads nothing."""
    async with open_request_path(folder) as path, AsyncExitStack() as channels:
        addresses = await _start_others(path, folder)
        pids = path.supervisor.pids()
        router, full, capped, registry, floor = [
            Target(
                name,
                psutil.Process(pids[name]),
                await channels.enter_async_context(grpc.aio.insecure_channel(address)),
            )
            for name, address in addresses.items()
        ]
        await path.score(ENTITY_ID)
        yield Refusals(
            router,
            floor,
            (
                *(Case(kind, router) for kind in refused_by_router()),
                unread_streams(router, path.address),
                *refused_by_full_router(path, full),
                refused_by_capped_router(path, capped),
                *(Case(kind, registry) for kind in refused_by_registry()),
                *refused_by_full_registry(registry),
            ),
        )


async def _start_others(path: RequestPath, folder: Path) -> dict[str, str]:
    """Start the servers beside the router; return the addresses of all by name."""
    registry, floor = (f"127.0.0.1:{free_port()}" for _ in range(2))
    small = {
        each.name: await path.start_router_beside(each.name, each.environment)
        for each in (FULL_ROUTER, CAPPED_ROUTER)
    }
    directory = str(folder / "registry")
    await path.supervisor.start(
        ProcessSpec(
            "registry",
            ("-m", "registry", "serve", "--dir", directory, "--listen", registry),
            health_target=registry,
            environment={
                "REGISTRY_UNPROVEN": "true",
                # Above the calls that are made at once: each of them is read.
                "REGISTRY_MAX_UPLOADS": str(2 * MOST_UPLOADS),
                "REGISTRY_MAX_UPLOADS_PER_PEER": str(MOST_UPLOADS),
            },
        )
    )
    await path.supervisor.start(
        ProcessSpec("floor", ("-m", "benchmarks.floor", floor), health_target=floor)
    )
    return {"router": path.address, **small, "registry": registry, "floor": floor}
