"""The inference protocol on the router's port: a request is answered as Score answers its rows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.router.infer_requests import columns_of, infer_request, parameters_of, raw_of
from tests.router.samples import MODEL
from tests.router.served import PATIENT_S, Served, open_served
from understudy.domain.errors import Fault
from understudy.inference.reflection import SERVICE
from understudy.oip import inference_pb2 as oip
from understudy.runtime.error_details import faults_in
from understudy.scoring.v1 import scoring_pb2 as pb

Code = grpc.StatusCode
EVERY_FACT = ("score", "served_version", "served_arm", "degradation_level", "decision")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with open_served() as opened:
        yield opened


async def infer(served: Served, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    call: Any = served.channel.unary_unary(f"/{SERVICE}/ModelInfer")
    answer = await call(request.SerializeToString(), timeout=PATIENT_S)
    return oip.ModelInferResponse.FromString(answer)


async def refusal_of(served: Served, request: oip.ModelInferRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await infer(served, request)
    return failed.value


async def ask(served: Served, rpc: str, request: Any, kind: Any) -> Any:
    call: Any = served.channel.unary_unary(f"/{SERVICE}/{rpc}")
    return kind.FromString(await call(request.SerializeToString(), timeout=PATIENT_S))


async def test_each_row_is_answered_as_score_answers_it(served: Served) -> None:
    units = [f"u{index}" for index in range(40)]
    threshold = oip.InferParameter(double_param=150.0)

    answer = await infer(
        served,
        infer_request(
            {"user": ("BYTES", units), "amount": ("FP32", [float(n) for n in range(40)])},
            outputs=EVERY_FACT,
            decision_threshold=threshold,
        ),
    )
    singles = [
        await served.stub.Score(
            pb.ScoreRequest(
                model=MODEL,
                entities={"user": unit},
                features={"amount": pb.FeatureValue(number=float(at))},
                decision_threshold=150.0,
            )
        )
        for at, unit in enumerate(units)
    ]

    columns = columns_of(answer)
    assert columns["score"] == [each.score for each in singles]
    assert columns["served_version"] == [each.served_by.version for each in singles]
    assert columns["served_arm"] == [
        pb.Arm.Name(each.served_by.arm).removeprefix("ARM_").lower() for each in singles
    ]
    assert columns["decision"] == [
        pb.Decision.Name(each.decision).removeprefix("DECISION_").lower() for each in singles
    ]
    assert set(columns["degradation_level"]) == {"full"}
    assert set(columns["served_version"]) == {1, 2}, "a unit keeps its arm here too"
    assert "served_version" not in answer.parameters
    assert answer.model_version == ""


async def test_a_single_row_names_its_answerer_in_parameters(served: Served) -> None:
    answer = await infer(
        served,
        infer_request(
            {"user": ("BYTES", ["u3"])},
            request_id="r1",
            unit_key=oip.InferParameter(string_param="k"),
            include_digests=oip.InferParameter(bool_param=True),
        ),
    )
    explained = await served.stub.ExplainAssignment(
        pb.ExplainAssignmentRequest(model=MODEL, unit_key="k")
    )

    parameters = parameters_of(answer)
    assert (answer.id, answer.model_name) == ("r1", MODEL)
    assert answer.model_version == str(explained.assigned.version)
    assert parameters["served_version"] == explained.assigned.version
    assert (parameters["request_id"], parameters["revision"]) == ("r1", 7)
    assert parameters["degradation_level"] == "full"
    assert len(parameters["artifact_digest"]) == 64
    assert "decision" not in parameters, "no threshold is set"


async def test_rows_are_logged_under_ids_of_their_own(served: Served) -> None:
    answer = await infer(
        served,
        infer_request({"user": ("BYTES", ["u1", "u2"])}, request_id="r1", outputs=("request_id",)),
    )

    assert columns_of(answer) == {"request_id": ["r1/0", "r1/1"]}
    logged = [name for batch in served.world.score_logs for name in batch.request_ids]
    assert sorted(logged) == ["r1/0", "r1/1"]


async def test_values_may_be_typed_and_one_dimensional(served: Served) -> None:
    request = oip.ModelInferRequest(model_name=MODEL)
    request.parameters["binary_data_output"].bool_param = False
    user = request.inputs.add(name="user", datatype="BYTES", shape=[2])
    user.contents.bytes_contents.extend([b"u1", b"u2"])
    count = request.inputs.add(name="count", datatype="INT64", shape=[2])
    count.contents.int64_contents.extend([3, 4])

    answer = await infer(served, request)

    assert not answer.raw_output_contents
    assert answer.outputs[0].name == "score"
    assert len(answer.outputs[0].contents.fp64_contents) == 2


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (infer_request({"nope": ("FP32", [1.0])}), "inputs"),
        (infer_request({"user": ("FP32", [1.0])}), "input 'user' datatype"),
        (infer_request({"user": ("BYTES", ["u1"]), "amount": ("FP32", [1.0, 2.0])}),
         "input 'amount' shape"),
        (infer_request({"user": ("BYTES", ["u1"])}, outputs=("nope",)), "outputs"),
        (infer_request({"user": ("BYTES", ["u1"])}, outputs=("score", "score")), "outputs"),
        (infer_request({"user": ("BYTES", [""])}), "entities[user]"),
        (infer_request({"user": ("BYTES", ["u1", ""])}), "rows[1].entities[user]"),
        (infer_request({"amount": ("BYTES", ["x"]), "user": ("BYTES", ["u1"])}), "features.amount"),
        (infer_request({"user": ("BYTES", ["u1"]), "amount": ("FP32", [float("nan")])}),
         "features.amount"),
        (infer_request({"user": ("BYTES", ["u"] * 1_001)}), "input 'user' shape"),
        (infer_request({}), "entities[user]"),
        (infer_request({"user": ("BYTES", ["u1"])}, unit_key=oip.InferParameter(int64_param=1)),
         "parameters[unit_key]"),
        (infer_request({"user": ("BYTES", ["u1"])}, sequence_id=oip.InferParameter(int64_param=1)),
         "parameters"),
        (infer_request({"user": ("BYTES", ["u1"])}, timeout=oip.InferParameter(string_param="1")),
         "parameters[timeout]"),
        (infer_request({"user": ("BYTES", ["u1"])}, request_id="x" * 300), "request_id"),
    ],
)  # fmt: skip
async def test_a_fault_names_the_tensor_or_the_field(
    served: Served, request_: oip.ModelInferRequest, field: str
) -> None:
    error = await refusal_of(served, request_)

    faults: tuple[Fault, ...] = faults_in(error.trailing_metadata() or ())
    assert (error.code(), [each.field for each in faults]) == (Code.INVALID_ARGUMENT, [field])
    assert served.world.pipeline.gate.outstanding_rows == 0


async def test_a_version_is_the_deployments_choice(served: Served) -> None:
    request = infer_request({"user": ("BYTES", ["u1"])})
    request.model_version = "2"

    error = await refusal_of(served, request)

    assert "model_version: read '2'; accepted: empty" in str(error.details())


async def test_a_deployment_that_does_not_exist_is_not_found(served: Served) -> None:
    error = await refusal_of(served, oip.ModelInferRequest(model_name="nope"))

    assert error.code() is Code.NOT_FOUND
    assert sum(served.world.pipeline.counters.refused.values()) == 1


async def test_rows_and_bytes_are_counted_at_the_gate_until_they_are_answered(
    served: Served,
) -> None:
    gate = served.world.pipeline.gate
    request = infer_request(
        {"user": ("BYTES", ["u1"] * 8)}, unit_key=oip.InferParameter(string_param="u0")
    )
    explained = await served.stub.ExplainAssignment(
        pb.ExplainAssignmentRequest(model=MODEL, unit_key="u0")
    )
    scorer = served.world.scorers["one" if explained.assigned.version == 1 else "two"]
    scorer.entered.clear()
    scorer.release = asyncio.Event()
    call: Any = served.channel.unary_unary(f"/{SERVICE}/ModelInfer")
    asked = asyncio.ensure_future(call(request.SerializeToString(), timeout=PATIENT_S))
    await scorer.entered.wait()
    held = (gate.outstanding_rows, gate.outstanding_bytes)
    scorer.release.set()
    await asked

    assert held == (8, len(request.SerializeToString()))
    assert (gate.outstanding_rows, gate.outstanding_bytes) == (0, 0)


async def test_metadata_and_readiness_are_those_of_the_deployment(served: Served) -> None:
    metadata = await ask(
        served, "ModelMetadata", oip.ModelMetadataRequest(name=MODEL), oip.ModelMetadataResponse
    )
    ready = await ask(
        served, "ModelReady", oip.ModelReadyRequest(name=MODEL), oip.ModelReadyResponse
    )
    live = await ask(served, "ServerLive", oip.ServerLiveRequest(), oip.ServerLiveResponse)
    server_ready = await ask(
        served, "ServerReady", oip.ServerReadyRequest(), oip.ServerReadyResponse
    )

    assert (metadata.name, list(metadata.versions)) == (MODEL, ["1"])
    assert [(each.name, each.datatype) for each in metadata.inputs] == [
        ("user", "BYTES"),
        ("amount", "FP32"),
        ("count", "FP32"),
    ]
    assert [each.name for each in metadata.outputs][:2] == ["score", "decision"]
    assert (ready.ready, live.live) == (True, True)
    assert not server_ready.ready, "its health is not SERVING yet"


async def test_a_stream_answers_in_order_and_survives_a_fault(served: Served) -> None:
    call: Any = served.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(timeout=PATIENT_S)
    units = ["u1", "", "u2"]
    for at, unit in enumerate(units):
        request = infer_request({"user": ("BYTES", [unit])}, request_id=f"s{at}")
        await call.write(request.SerializeToString())
    await call.done_writing()

    answers = [oip.ModelStreamInferResponse.FromString(each) async for each in call]

    assert [each.infer_response.id for each in answers] == ["s0", "s1", "s2"]
    assert [bool(each.error_message) for each in answers] == [False, True, False]
    failed = parameters_of(answers[1].infer_response)
    assert (failed["grpc_status"], failed["reason"]) == (3, "INVALID_INPUT")


async def test_a_stream_ends_with_ok_when_the_router_drains(served: Served) -> None:
    call: Any = served.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(timeout=PATIENT_S)
    await call.write(infer_request({"user": ("BYTES", ["u1"])}).SerializeToString())
    first = await call.read()

    served.service.end_streams()

    assert isinstance(first, bytes)
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is Code.OK


def test_the_texts_of_the_tests_are_in_the_protocols_form() -> None:
    assert raw_of("BYTES", ["ab"]) == b"\x02\x00\x00\x00ab"
