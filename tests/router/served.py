"""The router of the tests behind a real gRPC server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from router.edge.inference_service import InferenceService
from router.edge.service import SERVICE, ScoringService, ServiceLimits
from tests.router.samples import CONTRACT, MODEL, VIEW, spec
from tests.router.world import World, open_world
from understudy.domain.deployments import Challenger, Deployment, Fallback, Shadow
from understudy.inference.reflection import SERVICE as INFERENCE
from understudy.inference.reflection import add_reflection
from understudy.logs.batches import LogBatch
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.health import HealthSwitch
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.open_streams import StreamLimits
from understudy.runtime.rpc_boundary import Guard, open_to_all
from understudy.runtime.transport.transport import LOCAL, Transport
from understudy.scoring.v1 import scoring_pb2, scoring_pb2_grpc

LIMITS = ServiceLimits(
    streams=StreamLimits(256, 64, OpenLimits(256, 1 << 20), most_bytes_per_caller=16 << 20),
    most_stream_age_s=300.0,
)
PATIENT_S = 60.0  # these tests are about answers, and a busy machine may be slow


@dataclass
class Served:
    world: World
    stub: Any
    channel: grpc.aio.Channel
    service: ScoringService
    server: grpc.aio.Server
    health: HealthSwitch
    port: int


@asynccontextmanager
async def open_served(
    *,
    listen: str = "127.0.0.1:0",
    reuse_port: bool = False,
    limits: ServiceLimits = LIMITS,
    log: Callable[[LogBatch], bool] | None = None,
    guard: Guard = open_to_all,
    transport: Transport = LOCAL,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve a deployment with champion 1, challenger 2, shadow 3 and a constant.

    `options`: options of the gRPC server.
    """
    async with (
        open_world(
            feature_slow_s=PATIENT_S,
            scorer_timeout_s=PATIENT_S,
            wanted_queue_s=PATIENT_S,
            default_deadline_s=PATIENT_S,
            largest_deadline_s=PATIENT_S,
            log=log,
        ) as world,
        open_server(reuse_port=reuse_port, **options) as server,
    ):
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
                contract=CONTRACT,
            ),
            ready={1: ["one"], 2: ["two"], 3: ["three"]},
            specs=[spec(1), spec(2), spec(3)],
        )

        service = ScoringService(world.pipeline, limits)
        health = HealthSwitch((SERVICE, INFERENCE))
        inference = InferenceService(world.pipeline, service, is_ready=health.is_serving)
        handlers = (service.handlers(guard), inference.handlers(guard), health.handlers())
        server.add_generic_rpc_handlers(handlers)
        add_reflection(server, (scoring_pb2.DESCRIPTOR,))
        port = transport.bind(server, listen)
        target = f"127.0.0.1:{port}"
        async with started(server), grpc.aio.insecure_channel(target) as channel:
            yield Served(
                world,
                scoring_pb2_grpc.ScoringServiceStub(channel),
                channel,
                service,
                server,
                health,
                port,
            )
