"""Random, damaged and oversized requests to every RPC of every service.

The RPCs are those that reflection lists, so a new one is covered when it is served.
"""

import asyncio
import importlib
import pkgutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from tests.rpcs.served_rpcs import NOT_OFFERED, ServedRpc, open_every_rpc
from tests.rpcs.wire_messages import any_bytes, too_many
from understudy.control.identity import ACTOR_KEY
from understudy.inference.reflection import RPCS
from understudy.inference.reflection import SERVICE as INFERENCE
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES
from understudy.scoring.v1 import scoring_pb2

_SEED = 20
_AT_ONCE = 16
_LIMIT_S = 60.0  # of a call that ends by itself
_NEVER = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DATA_LOSS,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


async def statuses_of(rpc: ServedRpc, requests: list[bytes]) -> list[grpc.StatusCode]:
    """Return how the call ended, and the statuses that its responses carry."""
    call = rpc.call(requests, timeout=_LIMIT_S, metadata=((ACTOR_KEY, "fuzz"),))
    told: list[grpc.StatusCode] = []
    try:
        if not rpc.method.server_streaming:
            await call
            return [grpc.StatusCode.OK]
        async for response in call:
            told += _statuses_in(rpc, response)
            if not rpc.method.client_streaming:  # a watch does not end by itself
                call.cancel()
                return told
    except grpc.aio.AioRpcError:
        pass  # its status is returned
    if len(requests) > 1 and "Internal error from Core" in str(await call.details()):
        # The client's own: it was still sending when the server ended the call.
        return [status for each in requests for status in await statuses_of(rpc, [each])]
    return [*told, await call.code()]


def _statuses_in(rpc: ServedRpc, response: bytes) -> list[grpc.StatusCode]:
    if rpc.method.name == "ScoreStream":
        message = scoring_pb2.ScoreStreamResponse.FromString(response)
        return [_CODES[message.error.code]] if message.HasField("error") else []
    if rpc.method.name == "ModelStreamInfer":
        parameters = oip.ModelStreamInferResponse.FromString(response).infer_response.parameters
        return (
            [_CODES[parameters["grpc_status"].int64_param]] if "grpc_status" in parameters else []
        )
    return []


async def fuzz(rpcs: list[ServedRpc], random: Random, messages: int) -> None:
    """Send `messages` to each RPC in turn.

    Raises:
        AssertionError: with the first request that was answered with a status of a defect.
    """
    sent: Counter[ServedRpc] = Counter()
    every = frozenset(rpcs)
    while sum(sent.values()) < messages:
        chosen = [(rpc, _requests(rpc, random)) for rpc in (*rpcs, *rpcs)[:_AT_ONCE]]
        rpcs = [*rpcs[_AT_ONCE:], *rpcs[:_AT_ONCE]]
        answers = await asyncio.gather(*(statuses_of(*each) for each in chosen))
        for (rpc, requests), statuses in zip(chosen, answers, strict=True):
            assert not _defects(rpc, statuses), (rpc.path, statuses, requests)
            sent[rpc] += len(requests)
    assert set(sent) == every


def _defects(rpc: ServedRpc, statuses: list[grpc.StatusCode]) -> set[grpc.StatusCode]:
    return _NEVER.intersection(statuses) if rpc.path != NOT_OFFERED else set()


def _requests(rpc: ServedRpc, random: Random) -> list[bytes]:
    count = random.randint(1, 4) if rpc.method.client_streaming else 1
    return [any_bytes(rpc.method.input_type, random) for _ in range(count)]


async def test_every_rpc_that_our_protos_declare_is_fuzzed(tmp_path: Path) -> None:
    declared = {
        f"/{service.full_name}/{method.name}"
        for file in files_of_protos()
        for service in file.services_by_name.values()
        for method in service.methods
    } | {f"/{INFERENCE}/{rpc}" for rpc in RPCS}  # whose messages alone are in a file of ours

    async with open_every_rpc(tmp_path) as rpcs:
        assert {rpc.path for rpc in rpcs} == declared
        doors = [rpc for rpc in rpcs if rpc.path == f"/{INFERENCE}/ModelInfer"]
        assert len(doors) == 2, "the protocol is served by routers and scorers"


def files_of_protos() -> Sequence[FileDescriptor]:
    """Return the files from which our packages generate code, and those of standard services."""
    package = importlib.import_module("understudy")
    names = [each.name for each in pkgutil.walk_packages(package.__path__, "understudy.")]
    generated = [importlib.import_module(name) for name in names if name.endswith("_pb2")]
    return [health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR, *(g.DESCRIPTOR for g in generated)]


def defects(logged: Any) -> list[Any]:
    return [line for line in logged if line["log_level"] in ("error", "critical")]


@pytest.mark.slow
async def test_no_bytes_to_any_rpc_get_the_status_of_a_defect(tmp_path: Path) -> None:
    async with open_every_rpc(tmp_path) as rpcs:
        with capture_logs() as logged:
            await fuzz(rpcs, Random(_SEED), 2_000)

    assert not defects(logged)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
async def test_a_hundred_thousand_messages_get_no_status_of_a_defect(
    tmp_path: Path, seed: int
) -> None:
    async with open_every_rpc(tmp_path) as rpcs:
        with capture_logs() as logged:
            await fuzz(rpcs, Random(seed), 5_000)

    assert not defects(logged)


async def test_a_message_of_nothing_but_empty_entries_is_refused_on_every_rpc(
    tmp_path: Path,
) -> None:
    async with open_every_rpc(tmp_path) as rpcs:
        for rpc in rpcs:
            for request in too_many(rpc.method.input_type, 500_000):
                statuses = await statuses_of(rpc, [request])

                assert not _defects(rpc, statuses), rpc.path


async def test_a_message_above_the_limit_of_its_server_is_refused_unread(tmp_path: Path) -> None:
    async with open_every_rpc(tmp_path) as rpcs:
        for rpc in {rpc.channel: rpc for rpc in rpcs}.values():  # the limit is one of the server
            statuses = await statuses_of(rpc, [bytes(MAX_MESSAGE_BYTES + 1)])

            assert statuses[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED, rpc.path
