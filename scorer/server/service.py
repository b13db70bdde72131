"""The Open Inference Protocol on its standard method paths: translate, delegate, report once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.message import Message

from scorer.server.coming_calls import ComingCalls
from scorer.server.served_model import ModelRequest, ServedModel
from scorer.server.spans import OpenSpan, RequestSpans
from understudy.artifact.digests import LOADED_DIGEST_KEY, LOADED_DIGEST_PROPERTY
from understudy.domain.errors import (
    Fault,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    failure_kind_of,
)
from understudy.domain.versions import VersionRef
from understudy.inference.frames import FRAMES_PROPERTY, VERSION
from understudy.inference.infer_stream import InferStream, answer_message, failure_message
from understudy.oip import inference_pb2 as pb
from understudy.runtime.distribution import serving_version
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES
from understudy.runtime.grpc_errors import abort_with, status_of
from understudy.runtime.open_streams import (
    MOST_ID_CHARACTERS,
    OpenStreams,
    StreamLimits,
)
from understudy.runtime.parsing import RequestForm, parsed
from understudy.runtime.rpc_boundary import Context, peer_of

SERVICE = "inference.GRPCInferenceService"
_INFER_PATH = f"/{SERVICE}/ModelInfer"
_STREAM_INFER_PATH = f"/{SERVICE}/ModelStreamInfer"
_SERVER_NAME = "understudy"
_PLATFORM = "onnxruntime_onnx"  # Triton's name for it; clients compare this string

# Typed contents: numbers are packed, and take at most 8 bytes of memory each. Larger tensors, and
# more texts, are sent in raw_input_contents.
_MOST_NUMBERS = 16 << 20
_MOST_TEXTS = 50_000
_INFER_FORM = RequestForm(
    pb.ModelInferRequest,
    {
        f"inputs.contents.{field.name}": (
            _MOST_TEXTS if field.name == "bytes_contents" else _MOST_NUMBERS
        )
        for field in pb.InferTensorContents.DESCRIPTOR.fields
    },
    most_fields=_MOST_TEXTS + 10_000,
)

_log = structlog.get_logger()


class CallObserver(Protocol):
    """An observer of requests, in calls and on streams, for metrics."""

    def answered(self) -> None: ...
    def failed(self, status: grpc.StatusCode) -> None: ...


class InferenceService(grpc.GenericRpcHandler):
    """The protocol's RPCs for one version. Inference is answered after `serve` was called."""

    def __init__(
        self,
        ref: VersionRef,
        coming: ComingCalls,
        observer: CallObserver,
        is_ready: Callable[[], bool],
        streams: StreamLimits,
        spans: RequestSpans | None = None,
    ) -> None:
        """`spans`: makes those of sampled requests; None for none."""
        self._ref = ref
        self._number = str(ref.number)
        self._coming = coming
        self._observer = observer
        self._is_ready = is_ready
        self._spans = spans
        self._served: ServedModel | None = None
        self._properties: dict[str, str] = {}  # of the model, beside its signature
        self._infer: Any = grpc.unary_unary_rpc_method_handler(
            # Raw bytes: grpc would answer UNKNOWN if a message cannot be parsed.
            self._model_infer,
        )
        self._streams = OpenStreams(streams)
        self._others: dict[str, Any] = {
            f"/{SERVICE}/{name}": grpc.unary_unary_rpc_method_handler(
                self._guarded(name, request, answer)
            )
            for name, request, answer in (
                ("ServerLive", pb.ServerLiveRequest, self._server_live),
                ("ServerReady", pb.ServerReadyRequest, self._server_ready),
                ("ModelReady", pb.ModelReadyRequest, self._model_ready),
                ("ServerMetadata", pb.ServerMetadataRequest, self._server_metadata),
                ("ModelMetadata", pb.ModelMetadataRequest, self._model_metadata),
            )
        }
        self._others[_STREAM_INFER_PATH] = grpc.stream_stream_rpc_method_handler(
            self._model_stream_infer
        )

    def serve(self, model: ServedModel, *, over_frames: bool = False) -> None:
        """Answer with `model` from now on; `over_frames`: say that there are frames too."""
        self._served = model
        self._properties = {LOADED_DIGEST_PROPERTY: model.artifact_digest}
        if over_frames:
            self._properties[FRAMES_PROPERTY] = str(VERSION)

    def end_streams(self) -> None:
        """Let every stream, including future ones, answer the requests it has read and end with OK."""
        self._streams.end()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler for a path; grpc calls this before it reads the message."""
        method: Any = handler_call_details.method  # a str, although the stub declares bytes
        if method == _INFER_PATH:
            self._coming.accept()
            return self._infer
        return self._others.get(method)

    async def _model_infer(self, raw: bytes, context: Context) -> bytes:
        self._coming.enter()
        span: OpenSpan | None = None
        try:
            request = _INFER_FORM.read(raw)
            if self._spans is not None:
                span = self._spans.open(request, context.invocation_metadata() or ())
            read = self._read(request, context.time_remaining())
            answer = await read.answer()
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._count_failure(error, span)
            await abort_with(context, error, rpc="ModelInfer")
        self._count_answer(read, span)
        return answer

    async def _model_stream_infer(self, requests: AsyncIterator[bytes], context: Context) -> None:
        caller = peer_of(context)
        answer = partial(self.answer_message, remaining_s=context.time_remaining)
        stream = InferStream(answer, self._streams.open_requests_of(caller))
        loaded = "none yet" if self._served is None else self._served.artifact_digest
        # At once: a router sends no features before it knows what this process loaded.
        await context.send_initial_metadata(((LOADED_DIGEST_KEY, loaded),))
        try:
            await self._streams.run(stream, requests, context.write, caller=caller)
        except OverloadedError as error:
            self._observer.failed(status_of(error))
            await abort_with(context, error, rpc="ModelStreamInfer")

    def answer_message(
        self, raw: bytes, *, remaining_s: Callable[[], float | None] = lambda: None
    ) -> bytes | Coroutine[Any, Any, bytes]:
        """Return the message for one request of a stream or of frames, now or later; never raise.

        `remaining_s`: returns the time to the deadline of the stream, None without one.
        """
        request_id = ""
        span: OpenSpan | None = None
        try:
            request = _INFER_FORM.read(raw)
            request_id = request.id
            if self._spans is not None:
                span = self._spans.open(request)
            read = self._read(request, remaining_s())
            answer = read.answer_at_once()
            if answer is None:
                return self._answer_later(read, span)
            return self._message(answer, read, span)
        except Exception as error:  # noqa: BLE001 - request boundary: as for a call
            return self._failure(request_id, error, span)

    async def _answer_later(self, read: ModelRequest, span: OpenSpan | None) -> bytes:
        try:
            return self._message(await read.answer(), read, span)
        except Exception as error:  # noqa: BLE001 - request boundary: as for a call
            return self._failure(read.request_id, error, span)

    def _message(self, answer: bytes, read: ModelRequest, span: OpenSpan | None) -> bytes:
        message = answer_message(answer)
        _check_size(message)
        self._count_answer(read, span)
        return message

    def _failure(self, request_id: str, error: Exception, span: OpenSpan | None) -> bytes:
        self._count_failure(error, span)
        return failure_message(request_id, error)

    def _count_answer(self, read: ModelRequest, span: OpenSpan | None) -> None:
        self._observer.answered()
        if self._spans is not None and span is not None:
            self._spans.close(span, rows=read.request.rows)

    def _count_failure(self, error: Exception, span: OpenSpan | None) -> None:
        self._observer.failed(status_of(error))
        if self._spans is not None and span is not None:
            self._spans.close(span, rows=0, failure=failure_kind_of(error))

    def _read(self, request: pb.ModelInferRequest, remaining_s: float | None) -> ModelRequest:
        if self._served is None:
            raise UnavailableError(f"model {self._ref}", "it is still loading")
        if len(request.id) > MOST_ID_CHARACTERS:
            read = f"{len(request.id)} characters"
            raise InvalidInputError([Fault("id", read, f"at most {MOST_ID_CHARACTERS}")])
        if request.model_name != self._ref.model or request.model_version:
            self._check_name(request.model_name, request.model_version)
        return self._served.read(request, remaining_s)

    def _server_live(self, _request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def _server_ready(self, _request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        self._check_name(request.name, request.version)
        return pb.ModelReadyResponse(ready=self._is_ready())

    def _server_metadata(self, _request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(
            name=_SERVER_NAME, version=serving_version(), extensions=()
        )

    def _model_metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        self._check_name(request.name, request.version)
        if self._served is None:
            raise UnavailableError(f"model {self._ref}", "it is still loading")
        signature = self._served.signature
        return pb.ModelMetadataResponse(
            name=self._ref.model,
            versions=[self._number],
            platform=_PLATFORM,
            inputs=[_metadata_of(spec) for spec in signature.inputs],
            outputs=[_metadata_of(spec) for spec in signature.outputs],
            properties=self._properties,
        )

    def _check_name(self, name: str, number: str) -> None:
        if name != self._ref.model or number not in {"", self._number}:
            raise NotFoundError("model", f"{name}@{number}" if number else repr(name))

    def _guarded(
        self, rpc: str, kind: type[Message], answer: Callable[[Any], Message]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def handle(raw: bytes, context: Context) -> bytes:
            try:
                return answer(parsed(kind, raw)).SerializeToString()
            except Exception as error:  # noqa: BLE001 - request boundary
                self._observer.failed(status_of(error))
                await abort_with(context, error, rpc=rpc)

        return handle


def _metadata_of(spec: Any) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.datatype, shape=spec.shape
    )


def _check_size(message: bytes) -> None:
    """Refuse a message that gRPC would not send: it would end the stream with all its requests."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise InvalidInputError.of(
            "outputs",
            read=f"an answer of {len(message)} bytes",
            accepted=f"at most {MAX_MESSAGE_BYTES}: fewer rows, or fewer outputs",
        )
