"""The Open Inference Protocol on its standard method paths: translate, delegate, report once."""

import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version as installed_version
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from domain.errors import InvalidInputError, NotFoundError, UnavailableError
from domain.versions import VersionRef
from runtime.grpc_errors import abort_with, status_of
from scorer.batcher import Batcher
from scorer.coming_calls import ComingCalls
from scorer.request_reader import RequestReader
from scorer.response_writer import ResponseWriter
from scorer.signature import Signature
from understudy.oip import inference_pb2 as pb

SERVICE = "inference.GRPCInferenceService"
_INFER_PATH = f"/{SERVICE}/ModelInfer"
_SERVER_NAME = "understudy"
_PLATFORM = "onnxruntime_onnx"  # what Triton calls it; clients compare this text
_TYPED_ANSWER_PARAMETER = "binary_data_output"  # as in the protocol's HTTP extension

MessageT = TypeVar("MessageT", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]


class CallObserver(Protocol):
    """What happens to calls, for metrics."""

    def answered(self) -> None: ...
    def failed(self, status: grpc.StatusCode) -> None: ...


class ServedModel:
    """The model once it is ready, with what reads and writes its messages."""

    def __init__(self, signature: Signature, reader: RequestReader, batcher: Batcher) -> None:
        self.signature = signature
        self.reader = reader
        self.writer = ResponseWriter(signature)
        self.batcher = batcher


class InferenceService(grpc.GenericRpcHandler):
    """The protocol's six RPCs for one version. ModelInfer answers once `serve` was called."""

    def __init__(
        self,
        ref: VersionRef,
        coming: ComingCalls,
        observer: CallObserver,
        is_ready: Callable[[], bool],
    ) -> None:
        self._ref = ref
        self._number = str(ref.number)
        self._coming = coming
        self._observer = observer
        self._is_ready = is_ready
        self._served: ServedModel | None = None
        self._infer: Any = grpc.unary_unary_rpc_method_handler(
            # Bytes in, bytes out: grpc would answer UNKNOWN where a message cannot be parsed.
            self._model_infer,
        )
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

    def serve(self, model: ServedModel) -> None:
        """Answer ModelInfer with `model` from now on."""
        self._served = model

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler for a path; grpc calls this before it reads the message."""
        method: Any = handler_call_details.method  # str, although the stub says bytes
        if method == _INFER_PATH:
            self._coming.accept()
            return self._infer
        return self._others.get(method)

    async def _model_infer(self, raw: bytes, context: Context) -> bytes:
        self._coming.enter()
        try:
            answer = await self._answer(_parsed(raw, pb.ModelInferRequest), context)
        except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
            self._observer.failed(status_of(error))
            await abort_with(context, error, rpc="ModelInfer")
        self._observer.answered()
        return answer

    async def _answer(self, request: pb.ModelInferRequest, context: Context) -> bytes:
        served = self._served
        if served is None:
            raise UnavailableError(f"model {self._ref}", "it is still loading")
        if request.model_name != self._ref.model or request.model_version:
            self._check_name(request.model_name, request.model_version)
        remaining_s: float | None = context.time_remaining()  # None without a deadline
        deadline_s = None if remaining_s is None else time.monotonic() + remaining_s
        read = served.reader.read(request)
        arrays = await served.batcher.run(read, deadline_s=deadline_s)
        if request.parameters and _wants_typed(request):
            return served.writer.write_typed(request.id, read.outputs, arrays)
        return served.writer.write(request.id, read.outputs, arrays)

    def _server_live(self, _request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def _server_ready(self, _request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        self._check_name(request.name, request.version)
        return pb.ModelReadyResponse(ready=self._is_ready())

    def _server_metadata(self, _request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(
            name=_SERVER_NAME, version=installed_version("understudy"), extensions=()
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
        )

    def _check_name(self, name: str, number: str) -> None:
        if name != self._ref.model or number not in {"", self._number}:
            raise NotFoundError("model", f"{name}@{number}" if number else repr(name))

    def _guarded(
        self, rpc: str, kind: type[Message], answer: Callable[[Any], Message]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def handle(raw: bytes, context: Context) -> bytes:
            try:
                return answer(_parsed(raw, kind)).SerializeToString()
            except Exception as error:  # noqa: BLE001 - request boundary
                self._observer.failed(status_of(error))
                await abort_with(context, error, rpc=rpc)

        return handle


def _parsed(raw: bytes, kind: type[MessageT]) -> MessageT:
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise InvalidInputError.of(
            "request", read=f"{len(raw)} bytes: {error}", accepted=f"a {kind.DESCRIPTOR.name}"
        ) from error


def _metadata_of(spec: Any) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.datatype, shape=spec.shape
    )


def _wants_typed(request: pb.ModelInferRequest) -> bool:
    chosen = request.parameters.get(_TYPED_ANSWER_PARAMETER)
    return (
        chosen is not None
        and chosen.WhichOneof("parameter_choice") == "bool_param"
        and not chosen.bool_param
    )
