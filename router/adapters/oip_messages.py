"""Batches as messages of the Open Inference Protocol, and its answers as scores: for every hop."""

from collections.abc import Sequence

import grpc
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from router.ports import Inferred, OtherArtifactError
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
_MOST_CACHED_HEADS = 4096


class NotTakenError(UnavailableError):
    """The scorer did not accept the request: send it again."""


class RequestEncoder:
    """Writes requests. The part that is common to all requests of one shape is written once."""

    def __init__(self) -> None:
        self._heads: dict[object, bytes] = {}

    def encode(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        outputs: Sequence[str],
        of_call: bytes,
    ) -> list[bytes]:
        """Return the parts of a message, to be joined; `of_call` has the fields of this call alone.

        Raises:
            InvalidInputError: the message would be larger than scorers accept.
        """
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
        _check_size(sum(map(len, parts)))
        return parts


def _check_size(message_bytes: int) -> None:
    if message_bytes > MAX_MESSAGE_BYTES:
        raise InvalidInputError.of(
            "tensors",
            read=f"a request of {message_bytes} bytes",
            accepted=f"at most {MAX_MESSAGE_BYTES}: fewer rows",
        )


def scores_of(
    answer: oip.ModelStreamInferResponse,
    spec: VersionSpec,
    tensors: Sequence[NDArray[np.generic]],
    outputs: Sequence[str],
    *,
    address: str,
) -> Inferred:
    """Return the scores and requested outputs of an answer to `tensors`.

    Raises:
        CorruptedError: the answer cannot be read, or does not fit the request.
        DeadlinePassedError, InvalidInputError, UnavailableError: the scorer at `address` says so.
    """
    if answer.error_message:
        raise told_error(answer, address)
    try:
        decoded = decode(answer.infer_response, spec, outputs)
    except IndexError as error:
        raise CorruptedError(f"answer of {spec.ref} cannot be read: {error}") from error
    rows = len(tensors[0])
    counts = {len(decoded.scores), *(len(values) for values in decoded.outputs.values())}
    if counts != {rows}:
        raise CorruptedError(f"answer of {spec.ref} has {sorted(counts)} rows, not {rows}")
    return decoded


def read_answer(received: bytes) -> oip.ModelStreamInferResponse | None:
    """Return the message, or None if the bytes are none."""
    try:
        return oip.ModelStreamInferResponse.FromString(received)
    except DecodeError:
        return None


def other_artifact(
    address: str, ref: VersionRef, loaded: str, artifact_digest: str
) -> OtherArtifactError:
    """Return the error of a scorer that says that it loaded `loaded`."""
    return OtherArtifactError(
        f"scorer {address} of {ref} says that it loaded {loaded}; registered is {artifact_digest}"
    )


def call_fields(request_id: str, timeout_s: float | None, trace: TraceContext | None) -> bytes:
    """Return the fields that identify a request and its trace, and limit its time.

    `timeout_s`: None if something else carries the limit.
    """
    request = oip.ModelInferRequest(id=request_id)
    if timeout_s is not None:
        request.parameters["timeout"].int64_param = max(1, round(timeout_s * 1e6))
    if trace is not None:
        request.parameters[TRACEPARENT].string_param = trace.traceparent
        if trace.state:
            request.parameters[TRACESTATE].string_param = trace.state
    return request.SerializeToString()


def told_error(answer: oip.ModelStreamInferResponse, address: str) -> Exception:
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


def _text_bytes(tensor: NDArray[np.generic]) -> bytes:
    """Return BYTES elements in the protocol's form: 4-byte little-endian length, bytes."""
    return b"".join(
        part
        for element in tensor.ravel().tolist()
        for part in (len(element).to_bytes(4, "little"), element)
    )
