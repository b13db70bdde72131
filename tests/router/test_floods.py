"""A flood of each RPC, of legal, damaged and too large requests, beside calls that are scored; counted.

Callers of the flood share the router's port, its one worker and its machine with the others.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import grpc
import numpy as np
import pytest

from stack.processes import REGISTRY
from tests.artifact.models import doubling_artifact
from tests.router.router_process import (
    PATIENT,
    PATIENT_S,
    USERS,
    ServedScorer,
    open_router_process,
)
from tests.router.samples import MODEL, deployment
from tests.rpcs.served_rpcs import NOT_OFFERED, ServedRpc, rpcs_of
from tests.rpcs.wire_messages import any_bytes, too_many
from tests.scorer.serving import REF, infer_request
from tests.stack.waiting import while_progress
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.identity import ACTOR_KEY
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(1200)]
SCORES = 40  # of others, during the flood of each RPC
AT_ONCE = 16
LARGE_BYTES = 1 << 20
# grpc.aio's own status if an answer came before the request of a stream was sent.
NOT_SENT = "Internal error from Core"
DEFECTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}


class Flood:
    """Calls one RPC again and again, some calls at a time, until it is told to end."""

    def __init__(self, rpc: ServedRpc) -> None:
        self.statuses: Counter[grpc.StatusCode] = Counter()
        self.unsent = 0
        self.rpc = rpc
        self._large = too_many(rpc.method.input_type, LARGE_BYTES)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for seed in range(AT_ONCE):
                tasks.create_task(self._run(Random(seed)))

    def end(self) -> None:
        self._ended.set()

    async def _run(self, random: Random) -> None:
        while not self._ended.is_set():
            is_large = random.random() < 0.2
            request = (
                random.choice(self._large)
                if is_large
                else any_bytes(self.rpc.method.input_type, random)
            )
            status = await self._status_of(request)
            if status is None:
                self.unsent += 1
            else:
                self.statuses[status] += 1

    async def _status_of(self, request: bytes) -> grpc.StatusCode | None:
        call = self.rpc.call([request], timeout=PATIENT_S, metadata=((ACTOR_KEY, "flood"),))
        try:
            if not self.rpc.method.server_streaming:
                await call
                return grpc.StatusCode.OK
            async for _ in call:
                if not self.rpc.method.client_streaming:  # a watch does not end by itself
                    call.cancel()
                    return grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            if self.rpc.method.client_streaming and (error.details() or "").startswith(NOT_SENT):
                return None
            return error.code()
        status: grpc.StatusCode = await call.code()
        return status


def defects_of(flood: Flood) -> set[grpc.StatusCode]:
    return DEFECTS & flood.statuses.keys() if flood.rpc.path != NOT_OFFERED else set()


async def flood_each(
    rpcs: Sequence[ServedRpc], call_another: Callable[[int], Awaitable[object]]
) -> None:
    """Flood one RPC after the other beside calls of others, and fail if one of these does."""
    for rpc in rpcs:
        flood = Flood(rpc)
        flooding = asyncio.ensure_future(flood.run())
        try:
            for place in range(SCORES):
                await call_another(place)
        finally:
            flood.end()
            await while_progress(flooding)
        print(rpc.path, f"0 of {SCORES}", dict(flood.statuses), flood.unsent)  # noqa: T201 - the counts

        assert not defects_of(flood), (rpc.path, flood.statuses)


async def test_a_flood_of_any_rpc_of_a_router_fails_no_patient_score(tmp_path: Path) -> None:
    async with AsyncExitStack() as resources:
        router = await resources.enter_async_context(
            open_router_process(
                tmp_path,
                deployment(),
                {1: [ServedScorer()]},
                **PATIENT,
            )
        )
        client = await resources.enter_async_context(
            AsyncScoringClient(router.address, timeout_s=PATIENT_S)
        )
        channel = await resources.enter_async_context(grpc.aio.insecure_channel(router.address))
        await flood_each(
            await rpcs_of(channel), lambda place: client.score(MODEL, {"user": USERS[place]})
        )


async def test_a_flood_of_any_rpc_of_an_admin_socket_fails_no_patient_score(tmp_path: Path) -> None:
    async with (
        open_router_process(tmp_path, deployment(), {1: [ServedScorer()]}, **PATIENT) as router,
        AsyncScoringClient(router.address, timeout_s=PATIENT_S) as client,
        grpc.aio.insecure_channel(f"unix:{tmp_path / 'worker-0.sock'}") as channel,
    ):
        await flood_each(
            await rpcs_of(channel), lambda place: client.score(MODEL, {"user": USERS[place]})
        )


async def test_a_flood_of_any_rpc_of_a_scorer_fails_no_patient_call(tmp_path: Path) -> None:
    artifact = doubling_artifact(tmp_path / "artifact")
    address = f"unix:{tmp_path / 'scorer.sock'}"
    serving = ("-m", "scorer", "serve", str(artifact), "--name", REF.model, "--listen", address)
    async with (
        Supervisor(tmp_path / "process-logs") as supervisor,
        grpc.aio.insecure_channel(address, options=[("a.number", 1)]) as calling,
        grpc.aio.insecure_channel(address, options=[("a.number", 2)]) as flooding_from,
    ):
        await supervisor.start(ProcessSpec("scorer", serving, health_target=address))
        infer: Any = calling.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        request = infer_request(np.ones((3, 3), np.float32)).SerializeToString()

        await flood_each(await rpcs_of(flooding_from), lambda _: infer(request, timeout=PATIENT_S))


async def test_a_flood_of_any_rpc_of_a_registry_withdraws_no_state(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    directory = str(tmp_path / "registry")
    async with (
        Supervisor(tmp_path / "process-logs") as supervisor,
        grpc.aio.insecure_channel(address, options=[("a.number", 1)]) as watching,
        grpc.aio.insecure_channel(address, options=[("a.number", 2)]) as flooding_from,
    ):
        arguments = ("-m", "registry", "serve", "--dir", directory, "--listen", address)
        believing = {"REGISTRY_UNPROVEN": "true"}
        await supervisor.start(
            ProcessSpec(REGISTRY, arguments, health_target=address, environment=believing)
        )
        stub = registry_pb2_grpc.RegistryServiceStub(watching)
        status = registry_pb2.GetStatusRequest()
        await flood_each(
            await rpcs_of(flooding_from), lambda _: stub.GetStatus(status, timeout=PATIENT_S)
        )
        watch = stub.Watch(registry_pb2.WatchRequest(watcher="w"), timeout=PATIENT_S)
        message = await watch.read()
        assert isinstance(message, registry_pb2.WatchResponse)
        assert message.snapshot.lineage
        watch.cancel()
