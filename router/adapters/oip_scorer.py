"""The `Scorer` port over the Open Inference Protocol: one request with raw tensors per batch.

Requests go over streams (ModelStreamInfer) that are kept for later ones: in gRPC a message of an
open stream takes about half the time of a call (ADR 16). A stream carries one request at a time, so
giving up a request cancels its stream without affecting others.

Each new stream says which artifact its process loaded, before it gets a request: after a lost
connection, another process may listen at the address. That costs a round trip per stream, not per
request.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import TypeVar

import grpc
import numpy as np
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from router.adapters.time_limit import TimeLimit
from router.ports import Inferred, OtherArtifactError
from understudy.artifact.digests import LOADED_DIGEST_KEY, LOADED_DIGEST_PROPERTY
from understudy.domain.errors import (
    CorruptedError,
    DeadlinePassedError,
    InvalidInputError,
    UnavailableError,
)
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TRACEPARENT, TRACESTATE, TraceContext
from understudy.domain.versions import VersionRef
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES
from understudy.runtime.protobuf_bytes import length_delimited
from understudy.runtime.transport.transport import LOCAL, Transport

AnswerT = TypeVar("AnswerT", bound=Message)

_MODEL_STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"
_MODEL_READY = "/inference.GRPCInferenceService/ModelReady"
_MODEL_METADATA = "/inference.GRPCInferenceService/ModelMetadata"
_RAW_INPUT_FIELD = oip.ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number
_STATUS_OF = {status.value[0]: status for status in grpc.StatusCode}
_NUMPY_OF = {
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_CHANNEL_OPTIONS = (
    ("grpc.enable_channelz", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
_MOST_CACHED_HEADS = 4096
_MOST_KEPT_STREAMS = 8  # idle ones; there is another one for each request in flight

_Stream = grpc.aio.StreamStreamCall[bytes, bytes]


class _NotTakenError(UnavailableError):
    """The stream has ended, and the scorer did not accept the request: send it again."""


class OipScorer:
    """One scorer process over its own channel, which the opener must close."""

    def __init__(
        self, address: str, host_id: str | None = None, transport: Transport = LOCAL
    ) -> None:
        """Open the channel.

        `host_id`: the scorer host that its certificate must name; None for the host in `address`.

        Raises:
            InvalidInputError: see `Transport.open_channel`.
        """
        self.address = address
        self._channel = transport.open_channel(
            address, _CHANNEL_OPTIONS, named="scorer", proves=host_id
        )
        # No (de)serialisers: the request is joined from a prepared head and the raw tensors.
        self._open: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(
            _MODEL_STREAM_INFER
        )
        # Open, without a request; each with the digest of the artifact that its process loaded.
        self._kept: list[tuple[_Stream, str]] = []
        self._heads: dict[object, bytes] = {}
        self._numbers = count()

    async def infer(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        *,
        timeout_s: float,
        outputs: Sequence[str] = (),
        trace: TraceContext | None = None,
    ) -> Inferred:
        if timeout_s <= 0:
            raise DeadlinePassedError("scoring")
        request_id = str(next(self._numbers))
        request = self._encode(spec, tensors, outputs, _call_fields(request_id, timeout_s, trace))
        try:
            async with TimeLimit(timeout_s):
                stream, received = await self._ask(request, spec)
        except TimeoutError as error:
            raise DeadlinePassedError("the scorer answered") from error
        answer = _answer_to(request_id, received)
        if answer is None:  # later answers on this stream would not match either
            stream.cancel()
            raise CorruptedError(f"answer of {self.address} does not match its request")
        self._keep(stream, spec.artifact_digest)
        if answer.error_message:
            raise _told(answer, self.address)
        try:
            decoded = decode(answer.infer_response, spec, outputs)
        except IndexError as error:
            raise CorruptedError(f"answer of {spec.ref} cannot be read: {error}") from error
        rows = len(tensors[0])
        counts = {len(decoded.scores), *(len(values) for values in decoded.outputs.values())}
        if counts != {rows}:
            raise CorruptedError(f"answer of {spec.ref} has {sorted(counts)} rows, not {rows}")
        return decoded

    async def require_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> None:
        named = {"name": ref.model, "version": str(ref.number)}
        asked = oip.ModelReadyRequest(**named), oip.ModelMetadataRequest(**named)
        ready, metadata = await asyncio.gather(
            self._answer(_MODEL_READY, asked[0], oip.ModelReadyResponse, timeout_s),
            self._answer(_MODEL_METADATA, asked[1], oip.ModelMetadataResponse, timeout_s),
        )
        if not ready.ready:
            raise UnavailableError(f"scorer {self.address}", "it is not ready")
        loaded = metadata.properties.get(LOADED_DIGEST_PROPERTY, "no artifact")
        if loaded != artifact_digest:
            raise self._other_artifact(ref, loaded, artifact_digest)

    def _other_artifact(
        self, ref: VersionRef, loaded: str, artifact_digest: str
    ) -> OtherArtifactError:
        return OtherArtifactError(
            f"scorer {self.address} of {ref} says that it loaded {loaded}; registered is "
            f"{artifact_digest}"
        )

    async def _answer(
        self, rpc: str, request: Message, kind: type[AnswerT], timeout_s: float
    ) -> AnswerT:
        ask: grpc.aio.UnaryUnaryMultiCallable[Message, AnswerT] = self._channel.unary_unary(
            rpc,
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        try:
            return await ask(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name.lower()}: {error.details()}"
            raise UnavailableError(f"scorer {self.address}", why) from error
        except grpc.aio.UsageError as error:  # its channel was closed
            raise UnavailableError(f"scorer {self.address}", str(error)) from error

    async def close(self) -> None:
        """Close the channel; no request may be in flight, because one on a new stream would hang."""
        await self._channel.close()

    async def _ask(self, request: bytes, spec: VersionSpec) -> tuple[_Stream, bytes]:
        """Return the answer to `request` and its stream; a stream without an answer is given up.

        Raises:
            UnavailableError: the stream or its channel has ended without an answer.
            OtherArtifactError: the process at the address did not load the artifact of `spec`.
        """
        if (kept := self._take_kept(spec.artifact_digest)) is not None:
            with suppress(_NotTakenError):  # it ended while idle; its scorer may be back
                return kept, await self._ask_on(kept, request)
        try:
            opened = self._open()
        except grpc.aio.UsageError as error:  # its channel was closed
            raise UnavailableError(f"scorer {self.address}", str(error)) from error
        return opened, await self._ask_on(opened, request, proves=spec)

    async def _ask_on(
        self, stream: _Stream, request: bytes, *, proves: VersionSpec | None = None
    ) -> bytes:
        """Return the answer.

        Args:
            stream: without a request.
            request: the message.
            proves: the version whose artifact a new stream must name before it gets the request.

        Raises:
            OtherArtifactError: it names another one, or none.
            _NotTakenError: it could not be sent, or the scorer ended the stream with OK, which
                it does only after answering the requests it has read.
            UnavailableError: there is no answer, and the scorer may have run the request.
        """
        is_sent = False
        try:
            if proves is not None:
                await self._require_loaded(stream, proves)
            await stream.write(request)
            is_sent = True
            answer = await stream.read()
        except grpc.aio.AioRpcError as error:
            kind = UnavailableError if is_sent else _NotTakenError
            raise kind(f"scorer {self.address}", error.code().name.lower()) from error
        except asyncio.InvalidStateError as error:  # the stream has just ended
            raise _NotTakenError(f"scorer {self.address}", str(error)) from error
        except asyncio.CancelledError:
            stream.cancel()
            # gRPC cancels the awaiting task when a channel is closed. Only a cancellation of our
            # own task may end it; any other one means that the scorer has gone.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise UnavailableError(f"scorer {self.address}", "its channel was closed") from None
        if not isinstance(answer, bytes):  # the end of the stream
            raise _NotTakenError(f"scorer {self.address}", "it has ended the stream")
        return answer

    async def _require_loaded(self, stream: _Stream, spec: VersionSpec) -> None:
        """Return once the process behind a new stream has said that it loaded the artifact of `spec`.

        A stream that has ended says nothing, and fails at the next step for its own reason.

        Raises:
            OtherArtifactError: it names another artifact, or none.
        """
        said = dict(await stream.initial_metadata())
        loaded = str(said.get(LOADED_DIGEST_KEY, "no artifact"))
        if loaded != spec.artifact_digest and not stream.done():
            stream.cancel()
            raise self._other_artifact(spec.ref, loaded, spec.artifact_digest)

    def _take_kept(self, artifact_digest: str) -> _Stream | None:
        while self._kept:
            stream, loaded = self._kept.pop()
            if not stream.done() and loaded == artifact_digest:
                return stream
            stream.cancel()  # of a version that was at this address before
        return None

    def _keep(self, stream: _Stream, loaded: str) -> None:
        if len(self._kept) < _MOST_KEPT_STREAMS:
            self._kept.append((stream, loaded))
        else:
            stream.cancel()

    def _encode(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        outputs: Sequence[str],
        of_call: bytes,
    ) -> bytes:
        shapes = tuple(tensor.shape for tensor in tensors)
        key = (spec.ref, shapes, tuple(outputs))
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MOST_CACHED_HEADS:
                self._heads.clear()
            head = self._heads[key] = _head(spec, shapes, outputs)
        parts = [head, of_call]
        for tensor in tensors:
            raw = _text_bytes(tensor) if tensor.dtype.kind == "O" else tensor.tobytes()
            parts += (length_delimited(_RAW_INPUT_FIELD, len(raw)), raw)
        return b"".join(parts)


def _head(spec: VersionSpec, shapes: Sequence[tuple[int, ...]], outputs: Sequence[str]) -> bytes:
    """Return the part of a request that is common to all calls, without the raw tensors."""
    wanted = dict.fromkeys((spec.score_output.output, *outputs))
    return oip.ModelInferRequest(
        model_name=spec.ref.model,
        model_version=str(spec.ref.number),
        inputs=[
            oip.ModelInferRequest.InferInputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=shape
            )
            for tensor, shape in zip(spec.inputs, shapes, strict=True)
        ],
        outputs=[oip.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in wanted],
    ).SerializeToString()


def decode(answer: oip.ModelInferResponse, spec: VersionSpec, outputs: Sequence[str]) -> Inferred:
    """Return the scores and the requested outputs of a raw answer.

    Raises:
        CorruptedError: the answer lacks the score output, or its bytes do not match its shape.
    """
    if not outputs and len(answer.outputs) == 1 and answer.outputs[0].datatype == "FP32":
        return Inferred(_only_score(answer, spec), {})
    arrays: dict[str, NDArray[np.generic]] = {}
    for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=False):
        dtype = _NUMPY_OF.get(tensor.datatype)
        if dtype is not None:  # BYTES labels are not used for a score
            try:
                arrays[tensor.name] = np.frombuffer(raw, dtype).reshape(tuple(tensor.shape))
            except ValueError as error:
                raise CorruptedError(f"output {tensor.name} of {spec.ref}: {error}") from error
    scores = arrays.get(spec.score_output.output)
    if scores is None:
        raise CorruptedError(f"answer of {spec.ref} lacks output {spec.score_output.output}")
    column = scores if scores.ndim == 1 else scores[:, spec.score_output.column]
    return Inferred(
        column.astype(np.float64), {name: arrays[name] for name in outputs if name in arrays}
    )


def _only_score(answer: oip.ModelInferResponse, spec: VersionSpec) -> NDArray[np.float64]:
    """Return the score of an answer with no other output: the common case, kept short."""
    tensor = answer.outputs[0]
    values = np.frombuffer(answer.raw_output_contents[0], "<f4")
    shape = tensor.shape
    width = shape[1] if len(shape) > 1 else 1
    if tensor.name != spec.score_output.output or len(values) != shape[0] * width:
        raise CorruptedError(f"answer of {spec.ref}: {tensor.name} of {len(values)} values")
    return values[spec.score_output.column :: width].astype(np.float64)


def _answer_to(request_id: str, received: bytes) -> oip.ModelStreamInferResponse | None:
    """Return the message, or None if it is not one, or answers another request."""
    try:
        answer = oip.ModelStreamInferResponse.FromString(received)
    except DecodeError:
        return None
    return answer if answer.infer_response.id == request_id else None


def _told(answer: oip.ModelStreamInferResponse, address: str) -> Exception:
    """Return the scorer's error about one request."""
    match _STATUS_OF.get(answer.infer_response.parameters["grpc_status"].int64_param):
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlinePassedError("the scorer answered")
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidInputError.of(
                "tensors", read=answer.error_message, accepted="the signature"
            )
        case _:
            return UnavailableError(f"scorer {address}", answer.error_message)


def _call_fields(request_id: str, timeout_s: float, trace: TraceContext | None) -> bytes:
    """Return the fields that identify a request and its trace, and limit its time."""
    request = oip.ModelInferRequest(id=request_id)
    request.parameters["timeout"].int64_param = max(1, round(timeout_s * 1e6))
    if trace is not None:
        request.parameters[TRACEPARENT].string_param = trace.traceparent
        if trace.state:
            request.parameters[TRACESTATE].string_param = trace.state
    return request.SerializeToString()


def _text_bytes(tensor: NDArray[np.generic]) -> bytes:
    """Return BYTES elements in the protocol's form: 4-byte little-endian length, bytes."""
    return b"".join(
        part
        for element in tensor.ravel().tolist()
        for part in (len(element).to_bytes(4, "little"), element)
    )
