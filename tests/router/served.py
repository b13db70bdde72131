"""ScoringService over real gRPC on loopback, with fakes behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import grpc

from domain.deployments import Challenger, Deployment, Fallback, Shadow
from router.intake import Intake
from router.ports import Clocks
from router.service import SERVICE, ScoringService
from runtime.serving import add_health_and_reflection, bind, new_server
from shadow.batches import OutcomeBatchLog
from tests.router.world import MODEL, UTC_S, VIEW, World, open_world, spec
from understudy.v1 import scoring_pb2_grpc


@dataclass
class Served:
    world: World
    stub: Any
    channel: grpc.aio.Channel


@asynccontextmanager
async def open_served(**server_options: Any) -> AsyncIterator[Served]:
    """Serve two arms and a shadow, with 300 users in the store; options: see `new_server`."""
    async with open_world() as world:
        for index in range(300):
            world.store.put(VIEW, f"u{index}", {"amount": float(index), "count": 1.0})
        await world.deploy(
            Deployment(
                model=MODEL,
                revision=7,
                champion=1,
                salt="s",
                challengers=(Challenger(2, 3_000),),
                shadows=(Shadow(3, 10_000),),
                fallback=Fallback(constant_score=0.5),
            ),
            ready={1: ["one"], 2: ["two"], 3: ["three"]},
            specs=[spec(1), spec(2), spec(3)],
        )

        def log(batch: OutcomeBatchLog) -> bool:
            world.logged.append(batch)
            return True

        service = ScoringService(
            world.admission,
            world.gate,
            Intake(world.gate, most_gather_s=0.002, default_deadline_s=0.1, now_s=monotonic),
            world.counters,
            world.models.find,
            log,
            Clocks(monotonic, lambda: UTC_S),
        )
        server = new_server(**server_options)
        server.add_generic_rpc_handlers((service.handlers(),))
        add_health_and_reflection(server, (SERVICE,))
        port = bind(server, "127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Served(world, scoring_pb2_grpc.ScoringServiceStub(channel), channel)
        await server.stop(None)
