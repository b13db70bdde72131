"""The scorer host against a registry over real gRPC, with real scorer processes."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np

from tests.artifact.models import doubling_artifact
from tests.scorer.conftest import StartHost
from tests.scorer.fake_registry import FakeRegistry
from understudy.domain.versions import VersionRef
from understudy.oip import inference_pb2
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1 import scoring_pb2

READY = pb.SCORER_STATE_READY
REFUSED = pb.SCORER_STATE_REFUSED


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def deployment(champion: int, **facts: object) -> pb.Deployment:
    return pb.Deployment(
        model="doubler",
        revision=1,
        champion=champion,
        salt="s",
        fallback=pb.Fallback(last_score_max_age_s=60),
        contract=scoring_pb2.RequestContract(),
        **facts,  # type: ignore[arg-type]  # fields by name
    )


def all_ready(count: int) -> Callable[[list[pb.ScorerProcess]], bool]:
    return lambda processes: [p.state for p in processes] == [READY] * count


async def infer(address: str, rows: int = 1) -> np.ndarray:
    request = inference_pb2.ModelInferRequest(model_name="doubler")
    request.inputs.add(name="X", datatype="FP32", shape=[rows, 3])
    request.raw_input_contents.append(np.ones((rows, 3), np.float32).tobytes())
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=inference_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=inference_pb2.ModelInferResponse.FromString,
        )
        response = await call(request, timeout=60)
    return np.frombuffer(response.raw_output_contents[0], np.float32).reshape(rows, 3)


async def test_a_deployed_version_is_started_and_reported_ready(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    await registry.publish([version], [deployment(1)])

    await start_host()

    (process,) = await registry.until_reported(all_ready(1))
    assert (await infer(process.address) == 2).all()
    assert process.artifact_digest == process.loaded_digest == version.artifact_digest
    assert not process.HasField("last_error")


async def test_a_killed_scorer_comes_back_at_the_same_address(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    await registry.publish([version], [deployment(1)])
    await start_host()
    (before,) = await registry.until_reported(all_ready(1))

    os.kill(before.pid, signal.SIGKILL)

    (after,) = await registry.until_reported(
        lambda ps: len(ps) == 1 and ps[0].state == READY and ps[0].pid != before.pid
    )
    assert after.address == before.address
    assert after.restarts == 1
    assert "SIGKILL" in after.last_error
    assert (await infer(after.address) == 2).all()


async def test_a_version_that_is_no_longer_named_is_stopped(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    first = registry.version(VersionRef("doubler", 1), artifact)
    second = registry.version(VersionRef("doubler", 2), doubling_artifact(tmp_path / "b"))
    await registry.publish([first, second], [deployment(1, standby=[2])])
    await start_host()
    await registry.until_reported(all_ready(2))

    await registry.publish([first, second], [deployment(2)])

    (left,) = await registry.until_reported(lambda ps: len(ps) == 1)
    assert left.ref.number == 2
    assert left.restarts == 0


async def test_a_version_wanted_again_while_it_drains_is_restarted(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    await registry.publish([version], [deployment(1)])
    await start_host(SCORER_HOST_LEAVE_DELAY_S="0.5")
    (before,) = await registry.until_reported(all_ready(1))
    await registry.publish([], [])
    await registry.until_reported(lambda ps: [p.state for p in ps] == [pb.SCORER_STATE_DRAINING])

    await registry.publish([version], [deployment(1)])

    (after,) = await registry.until_reported(all_ready(1))
    assert after.pid != before.pid
    assert after.address == before.address
    assert (await infer(after.address) == 2).all()


async def test_a_refused_artifact_has_a_reason_and_does_not_affect_the_champion(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    good = registry.version(VersionRef("doubler", 1), artifact)
    bad_folder = tmp_path / "bad"
    bad_folder.mkdir()
    (bad_folder / "model.onnx").write_bytes(b"not a model")
    bad = registry.version(VersionRef("doubler", 2), bad_folder)
    shadow = pb.Shadow(version=2, sample_bp=10_000)

    await registry.publish([good, bad], [deployment(1, shadows=[shadow])])
    await start_host()

    processes = await registry.until_reported(lambda ps: {p.state for p in ps} == {READY, REFUSED})
    refused = next(p for p in processes if p.state == REFUSED)
    assert refused.ref.number == 2
    assert "model.onnx" in refused.last_error


async def test_sigterm_to_the_host_ends_its_scorers(
    registry: FakeRegistry, start_host: StartHost, artifact: Path
) -> None:
    version = registry.version(VersionRef("doubler", 1), artifact)
    await registry.publish([version], [deployment(1)])
    host = await start_host()
    (process,) = await registry.until_reported(all_ready(1))

    assert await host.end() == 0

    assert not is_running(process.pid)
    assert registry.processes == []
