"""Failures of scorers, artifacts, models and hosts, with real processes and signals."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from scorer.server.service import SERVICE
from tests.artifact.models import doubling_artifact, patient_model, save_model, tensor
from tests.scorer.conftest import StartHost, StartScorer
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.serving import infer_request
from tests.scorer.test_host import READY, REFUSED, all_ready, deployment, infer, is_running
from tests.stack.waiting import until, while_progress
from understudy.domain.versions import VersionRef
from understudy.oip import inference_pb2 as pb_oip
from understudy.registry.v1 import registry_pb2 as pb

pytestmark = pytest.mark.fault
Code = grpc.StatusCode
DEADLINE_S = 240.0  # of calls, and far from what a test waits for


class Caller:
    """Calls one scorer over one connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._infer: Any = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=pb_oip.ModelInferRequest.SerializeToString,
            response_deserializer=pb_oip.ModelInferResponse.FromString,
        )
        self._live: Any = channel.unary_unary(
            f"/{SERVICE}/ServerLive",
            request_serializer=pb_oip.ServerLiveRequest.SerializeToString,
            response_deserializer=pb_oip.ServerLiveResponse.FromString,
        )

    def infer(self, request: pb_oip.ModelInferRequest) -> Any:
        return self._infer(request, timeout=DEADLINE_S)

    async def code_of(self, request: pb_oip.ModelInferRequest) -> grpc.StatusCode:
        try:
            await self.infer(request)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return Code.OK

    async def until_in_flight(self) -> None:
        """Return once the scorer has accepted all earlier calls on this connection."""
        await self._live(pb_oip.ServerLiveRequest(), timeout=DEADLINE_S)


@contextlib.asynccontextmanager
async def caller(address: str) -> AsyncIterator[Caller]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield Caller(channel)


def unlink_socket(address: str) -> None:
    Path(address.removeprefix("unix:")).unlink()


def rows(count: int = 1) -> np.ndarray:
    return np.ones((count, 3), np.float32)


async def until_running(metrics_port: int) -> None:
    """Return once the scorer has taken a call out of its queue to run it."""

    def read() -> bytes:
        with urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
            return bytes(answer.read())

    async with asyncio.timeout(60):
        while b"understudy_scorer_queue_seconds_count 0.0" in await asyncio.to_thread(read):
            pass


async def test_callers_of_a_scorer_killed_during_a_run_get_unavailable_at_once(
    start_scorer: StartScorer, tmp_path: Path, unused_tcp_port: int
) -> None:
    scorer = await start_scorer(
        patient_model(tmp_path / "model.onnx"),
        *("--metrics-port", str(unused_tcp_port)),
        SCORER_INLINE_RUN_MS="0",  # in a worker thread: counted when it begins
    )
    endless = infer_request(np.full((1, 3), 1e18, np.float32))
    async with caller(scorer.address) as calls:
        waiting = [asyncio.ensure_future(calls.code_of(endless)) for _ in range(8)]
        await until_running(unused_tcp_port)
        assert not any(call.done() for call in waiting)

        os.kill(scorer.pid, signal.SIGKILL)

        codes = await asyncio.wait_for(asyncio.gather(*waiting), DEADLINE_S / 4)
    assert codes == [Code.UNAVAILABLE] * 8


async def test_a_hung_scorer_is_noticed_and_replaced(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    await start_host(SCORER_HOST_PROBE_TIMEOUT_S="1", SCORER_HOST_PROBE_MISSES="2")
    (before,) = await registry.until_reported(all_ready(1))

    os.kill(before.pid, signal.SIGSTOP)

    (after,) = await registry.until_reported(
        lambda ps: len(ps) == 1 and ps[0].state == READY and ps[0].pid != before.pid
    )
    assert "hung" in after.last_error
    assert not is_running(before.pid)
    assert (await infer(after.address) == 2).all()


@pytest.mark.long
async def test_an_unreachable_scorer_is_replaced(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    """A scorer of an earlier host that exits late removes the socket file of the new one."""
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    await start_host()
    (before,) = await registry.until_reported(all_ready(1))

    unlink_socket(before.address)

    (after,) = await registry.until_reported(
        lambda ps: len(ps) == 1 and ps[0].state == READY and ps[0].pid != before.pid
    )
    assert (await infer(after.address) == 2).all()


@pytest.mark.long
async def test_a_crash_loop_is_given_up_and_leaves_the_champion_untouched(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    good = registry.version(VersionRef("doubler", 1), artifact)
    shadow = registry.version(VersionRef("doubler", 2), doubling_artifact(tmp_path / "b"))
    shadows = [pb.Shadow(version=2, sample_bp=10_000)]
    await registry.publish([good, shadow], [deployment(1, shadows=shadows)])
    await start_host(SCORER_HOST_RESTART_BUDGET="2")
    await registry.until_reported(all_ready(2))
    champion = next(p for p in registry.processes if p.ref.number == 1)

    killed: set[int] = set()

    def kill_the_shadow(processes: list[pb.ScorerProcess]) -> bool:
        (shadow,) = [p for p in processes if p.ref.number == 2]
        if shadow.state == READY and shadow.pid not in killed:
            killed.add(shadow.pid)
            os.kill(shadow.pid, signal.SIGKILL)
        return shadow.state == pb.SCORER_STATE_GAVE_UP

    processes = await registry.until_reported(kill_the_shadow)

    assert len(killed) == 3
    gave_up = next(p for p in processes if p.ref.number == 2)
    assert "gave up after 2 restarts" in gave_up.last_error
    still = next(p for p in processes if p.ref.number == 1)
    assert (still.pid, still.state, still.restarts) == (champion.pid, READY, 0)
    assert (await infer(champion.address) == 2).all()


async def test_bytes_corrupted_by_the_registry_are_refused(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    sha256 = version.files[1].sha256
    registry.files[sha256] = registry.files[sha256][:-1] + b"\0"
    await registry.publish([version], [deployment(1)])

    await start_host()

    (process,) = await registry.until_reported(lambda ps: [p.state for p in ps] == [REFUSED])
    assert "the registry sent" in process.last_error, "it was stored, and found out only later"
    assert version.files[1].path in process.last_error
    assert sha256 in process.last_error


@pytest.mark.long
async def test_a_refused_champion_is_tried_again_after_a_while(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    sha256 = version.files[1].sha256
    sound = registry.files[sha256]
    registry.files[sha256] = sound[:-1] + b"\0"
    await registry.publish([version], [deployment(1)])
    await start_host(SCORER_HOST_RESTART_WINDOW_S="1")
    await registry.until_reported(lambda ps: [p.state for p in ps] == [REFUSED])

    registry.files[sha256] = sound

    (process,) = await registry.until_reported(all_ready(1))
    assert (await infer(process.address) == 2).all()


@pytest.mark.long
async def test_a_copy_corrupted_on_disk_is_fetched_again(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    await registry.publish([version], [deployment(1)])
    await start_host()
    (before,) = await registry.until_reported(all_ready(1))
    stored = tmp_path / "host" / "files" / version.files[0].sha256
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)

    os.kill(before.pid, signal.SIGKILL)

    await registry.until_reported(
        lambda ps: len(ps) == 1 and ps[0].state == READY and ps[0].pid != before.pid
    )
    assert registry.fetched.count(version.files[0].sha256) == 2


async def test_a_host_starts_from_its_stored_snapshot_while_the_registry_is_away(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    host = await start_host()
    (process,) = await registry.until_reported(all_ready(1))
    await host.end()

    await start_host("--registry", "127.0.0.1:1")

    async def answers() -> bool:
        try:
            return bool((await infer(process.address) == 2).all())
        except grpc.aio.AioRpcError:
            return False

    await until(answers)


def slow_artifact(folder: Path) -> Path:
    """Build a model that takes a large part of a second for thousands of rows."""
    folder.mkdir()
    weights = numpy_helper.from_array(np.full((512, 512), 1e-3, np.float32), "W")
    steps = [helper.make_node("MatMul", ["X", "W"], ["H0"])]
    steps += [helper.make_node("MatMul", [f"H{at}", "W"], [f"H{at + 1}"]) for at in range(15)]
    steps += [helper.make_node("ReduceMean", ["H15"], ["Y"], axes=[1])]
    save_model(
        folder / "model.onnx",
        steps,
        [tensor("X", shape=("N", 512))],
        [tensor("Y", shape=("N", 1))],
        [weights],
    )
    return folder


async def test_a_call_in_flight_at_sigterm_still_gets_its_answer(
    start_scorer: StartScorer, tmp_path: Path
) -> None:
    patient = {"SCORER_DRAIN_GRACE_S": "600"}  # a run takes a busy machine many seconds
    scorer = await start_scorer(slow_artifact(tmp_path / "slow"), **patient)
    async with caller(scorer.address) as calls:
        request = infer_request(np.ones((4_000, 512), np.float32))
        waiting = [calls.infer(request) for _ in range(3)]  # a busy machine is late to signal
        await asyncio.sleep(0)
        await calls.until_in_flight()
        assert not waiting[-1].done()

        assert await scorer.end(signal.SIGTERM) == 0

        for call in waiting:
            assert list((await call).outputs[0].shape) == [4_000, 1]


async def test_a_model_that_allocates_too_much_refuses_only_that_call(
    start_scorer: StartScorer, tmp_path: Path
) -> None:
    """The model creates as many zeros as its input says."""
    folder = tmp_path / "greedy"
    folder.mkdir()
    save_model(
        folder / "model.onnx",
        [helper.make_node("ConstantOfShape", ["X"], ["Y"])],
        [tensor("X", TensorProto.INT64, (1,))],
        [tensor("Y", shape=("M",))],
    )
    scorer = await start_scorer(folder, SCORER_MAX_MEMORY_MB="4096")

    def request(count: int) -> pb_oip.ModelInferRequest:
        made = pb_oip.ModelInferRequest(model_name="doubler")
        made.inputs.add(name="X", datatype="INT64", shape=[1]).contents.int64_contents.append(count)
        return made

    async with caller(scorer.address) as calls:
        assert await calls.code_of(request(2_000_000_000)) is Code.RESOURCE_EXHAUSTED
        assert list((await calls.infer(request(4))).outputs[0].shape) == [4]


async def test_a_model_whose_run_raises_fails_only_that_call(
    start_scorer: StartScorer, tmp_path: Path
) -> None:
    """Gather fails for an index outside its table."""
    folder = tmp_path / "gather"
    folder.mkdir()
    table = numpy_helper.from_array(np.arange(3, dtype=np.float32), "T")
    save_model(
        folder / "model.onnx",
        [helper.make_node("Gather", ["T", "X"], ["Y"])],
        [tensor("X", TensorProto.INT64, ("N", 1))],
        [tensor("Y", shape=("N", 1))],
        [table],
    )
    scorer = await start_scorer(folder)

    def request(index: int) -> pb_oip.ModelInferRequest:
        made = pb_oip.ModelInferRequest(model_name="doubler")
        tensor_ = made.inputs.add(name="X", datatype="INT64", shape=[1, 1])
        tensor_.contents.int64_contents.append(index)
        return made

    async with caller(scorer.address) as calls:
        codes = await asyncio.gather(*(calls.code_of(request(at % 4)) for at in range(40)))

    assert codes == [Code.INVALID_ARGUMENT if at % 4 == 3 else Code.OK for at in range(40)]


async def test_a_refused_artifact_ends_the_process_with_65(
    start_scorer: StartScorer, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")

    scorer = await start_scorer(tmp_path / "model.onnx", wait=False)

    assert await while_progress(scorer.process.wait()) == 65
