"""The Open Inference Protocol on the router's port: a deployment is a model.

A client of Triton or KServe gets arms, shadows, logs and fallbacks by changing an address. Requests
become calls like those of Score, through the same gate, intake and stages.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message

from router.admission.admit import Asked
from router.admission.intake import UnreadCall
from router.calls.call import Call
from router.decisions.priority import Priority
from router.edge.entry import guarded_handlers
from router.edge.infer_answers import JoinedRows
from router.edge.infer_metadata import model_metadata
from router.edge.infer_requests import MOST_VALUES, InferAsked, InferReader
from router.edge.request_values import MOST_IN_A_REQUEST, trace_of
from router.edge.service import ScoringService
from router.lanes.split_call import Part, Whole
from router.pipeline import Pipeline
from router.revision.live_model import LiveModel
from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.domain.trace_context import TraceContext
from understudy.inference.infer_stream import InferStream, answer_message, failure_message
from understudy.inference.reflection import SERVICE
from understudy.oip import inference_pb2 as pb
from understudy.runtime.distribution import serving_version
from understudy.runtime.grpc_errors import abort_with
from understudy.runtime.parsing import RequestForm, parsed
from understudy.runtime.rpc_boundary import Context, Guard, open_to_all, peer_of

_MOST_INPUTS = MOST_IN_A_REQUEST["entities"] + MOST_IN_A_REQUEST["features"]
_FORM = RequestForm(
    pb.ModelInferRequest,
    {
        "inputs": _MOST_INPUTS,
        "raw_input_contents": _MOST_INPUTS,
        "inputs.shape": 2 * _MOST_INPUTS,
        "outputs": MOST_IN_A_REQUEST["outputs"],
        **{
            f"inputs.contents.{field.name}": MOST_VALUES
            for field in pb.InferTensorContents.DESCRIPTOR.fields
        },
    },
    most_fields=MOST_VALUES + 8 * _MOST_INPUTS,
)


class InferenceService:
    """The RPCs. Streams are limited, and refusals counted, together with those of `beside`."""

    def __init__(
        self, pipeline: Pipeline, beside: ScoringService, *, is_ready: Callable[[], bool]
    ) -> None:
        self._admission = pipeline.admission
        self._gate = pipeline.gate
        self._intake = pipeline.intake
        self._live = pipeline.models.live
        self._now_s = pipeline.clocks.monotonic_s
        self._streams = beside.streams
        self._most_stream_age_s = beside.limits.most_stream_age_s
        self._on_refusal = beside.count_refusal
        self._is_ready = is_ready
        self._readers: dict[str, tuple[LiveModel, InferReader]] = {}  # of each model's revision

    def handlers(self, guard: Guard = open_to_all) -> grpc.GenericRpcHandler:
        unary = grpc.unary_unary_rpc_method_handler
        return guarded_handlers(
            SERVICE,
            {
                "ServerLive": unary(self._guarded("ServerLive", self._server_live)),
                "ServerReady": unary(self._guarded("ServerReady", self._server_ready)),
                "ModelReady": unary(self._guarded("ModelReady", self._model_ready)),
                "ServerMetadata": unary(self._guarded("ServerMetadata", self._server_metadata)),
                "ModelMetadata": unary(self._guarded("ModelMetadata", self._model_metadata)),
                "ModelInfer": unary(self._model_infer),
                "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._model_stream_infer),
            },
            guard,
            self._on_refusal,
        )

    async def _model_infer(self, received: bytes, context: Context) -> bytes:
        try:
            self._gate.check_room(1, Priority.LIVE)
            request = _FORM.read(received)
            remaining_s = context.time_remaining()
            return await self._score(
                request, received, Priority.LIVE, remaining_s, trace_of(context)
            )
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._on_refusal(error)
            await abort_with(context, error, rpc="ModelInfer")

    async def _model_stream_infer(self, requests: AsyncIterator[bytes], context: Context) -> None:
        caller = peer_of(context)
        answer = partial(self._answer_message, trace_of(context))
        stream = InferStream(answer, self._streams.open_requests_of(caller))
        # A stream does not see its connection's age; see `ScoreStream`.
        aged = asyncio.get_running_loop().call_later(self._most_stream_age_s, stream.stop_reading)
        try:
            await self._streams.run(stream, requests, context.write, caller=caller)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._on_refusal(error)
            await abort_with(context, error, rpc="ModelStreamInfer")
        finally:
            aged.cancel()

    async def _answer_message(self, trace: TraceContext | None, received: bytes) -> bytes:
        """Return the message for one request of a stream, which has the default deadline."""
        request_id = ""
        try:
            self._gate.check_room(1, Priority.STREAM)
            request = _FORM.read(received)
            request_id = request.id
            answer = await self._score(request, received, Priority.STREAM, None, trace)
            return answer_message(answer)
        except Exception as error:  # noqa: BLE001 - request boundary: as for a call
            self._on_refusal(error)
            return failure_message(request_id, error)

    async def _score(
        self,
        request: pb.ModelInferRequest,
        received: bytes,
        priority: Priority,
        remaining_s: float | None,
        trace: TraceContext | None,
    ) -> bytes:
        """Score each row as a call of its own, and return the answer of the request."""
        asked = self._read(request)
        if asked.remaining_s is not None:
            limits_s = (asked.remaining_s, remaining_s)
            remaining_s = min(each for each in limits_s if each is not None)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        rows = len(asked.rows)
        whole = Whole(answer, rows, joining=JoinedRows(request, asked), again=_never)
        new_call = partial(UnreadCall, priority=priority if rows == 1 else Priority.BATCH)
        calls = [
            new_call(
                answer=Part(whole, row),
                arrived_s=self._now_s(),
                remaining_s=remaining_s,
                received=b"" if row else received,  # counted once
                admit=partial(self._admit, asked, row),
                trace=trace,
            )
            for row in range(rows)
        ]
        self._intake.put_together(calls)
        try:
            return await answer
        finally:
            for call in calls:
                self._intake.leave(call)

    def _admit(self, asked: InferAsked, row: int, call: UnreadCall) -> Call:
        unit: Asked = asked.rows[row]
        call.request_id = unit.request_id or ""
        try:
            return self._admission.admit(unit, call)
        except InvalidInputError as error:
            if len(asked.rows) == 1:
                raise
            faults = [Fault(f"rows[{row}].{f.field}", f.read, f.accepted) for f in error.faults]
            raise InvalidInputError(faults) from error

    def _read(self, request: pb.ModelInferRequest) -> InferAsked:
        live = self._live_of(request.model_name, request.model_version)
        reads, reader = self._readers.get(request.model_name, (None, None))
        if reads is not live or reader is None:
            reader = InferReader(live.names)
            self._readers = {
                name: read for name, read in self._readers.items() if name in self._live
            } | {request.model_name: (live, reader)}
        return reader.read(request)

    def _live_of(self, model: str, version: str) -> LiveModel:
        live = self._live.get(model)
        if live is None:
            raise NotFoundError("deployment of model", model)
        if version:
            raise InvalidInputError.of(
                "model_version", read=version, accepted="empty: the deployment chooses the version"
            )
        return live

    def _server_live(self, _request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def _server_ready(self, _request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._is_ready())

    def _server_metadata(self, _request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="understudy", version=serving_version())

    def _model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        live = self._live_of(request.name, request.version)
        return pb.ModelReadyResponse(ready=live.effective.champion is not None)

    def _model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        return model_metadata(self._live_of(request.name, request.version))

    def _guarded(
        self, rpc: str, answer: Callable[[Any], Message]
    ) -> Callable[[bytes, Context], Coroutine[Any, Any, bytes]]:
        kind: type[Message] = getattr(pb, f"{rpc}Request")

        async def handle(received: bytes, context: Context) -> bytes:
            try:
                return answer(parsed(kind, received)).SerializeToString()
            except Exception as error:  # noqa: BLE001 - request boundary
                self._on_refusal(error)
                await abort_with(context, error, rpc=rpc)

        return handle


def _never() -> None:
    raise AssertionError("the rows of a request are answered one by one")
