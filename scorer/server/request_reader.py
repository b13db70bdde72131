"""Conversion of ModelInfer requests to arrays; faults name tensor, field, read and accepted."""

from dataclasses import dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from understudy.artifact.signature import Signature
from understudy.domain.errors import InvalidInputError
from understudy.inference.tensor_reader import TensorReader, check_parameters
from understudy.oip import inference_pb2 as pb


@dataclass(frozen=True, slots=True)
class RequestLimits:
    max_request_rows: int
    refuse_non_finite: bool  # NaN and infinity in floating point inputs


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A request that is ready to run: `inputs` in the model's order, C-contiguous."""

    inputs: tuple[NDArray[Any], ...]
    rows: int
    outputs: tuple[int, ...]  # indices of the model's outputs
    join_key: tuple[object, ...]  # requests with equal keys may run together


class RequestReader:
    """Reads requests; compiled once per model."""

    def __init__(self, signature: Signature, limits: RequestLimits) -> None:
        self._joins_rows = signature.joins_rows
        max_rows = limits.max_request_rows if signature.joins_rows else None
        self._inputs = tuple(
            TensorReader(spec, max_rows=max_rows, refuses_non_finite=limits.refuse_non_finite)
            for spec in signature.inputs
        )
        self._input_at = {spec.name: at for at, spec in enumerate(signature.inputs)}
        self._output_at = {spec.name: at for at, spec in enumerate(signature.outputs)}
        self._all_outputs = tuple(range(len(signature.outputs)))

    def read(self, request: pb.ModelInferRequest) -> ReadRequest:
        """Return the arrays of `request`.

        Raises:
            InvalidInputError: naming tensor, field, the value read and the values accepted.
        """
        inputs = self._read_inputs(request)
        outputs = self._read_outputs(request) if request.outputs else self._all_outputs
        if not self._joins_rows:
            return ReadRequest(inputs, _rows_of(inputs), outputs, ())
        return ReadRequest(
            inputs,
            self._check_rows(inputs),
            outputs,
            (outputs, *(array.shape[1:] for array in inputs)),
        )

    def _read_inputs(self, request: pb.ModelInferRequest) -> tuple[NDArray[Any], ...]:
        tensors = request.inputs
        raw = request.raw_input_contents
        if len(tensors) != len(self._inputs):
            self._refuse_names([tensor.name for tensor in tensors])
        if raw and len(raw) != len(tensors):
            raise InvalidInputError.of(
                "raw_input_contents",
                read=f"{len(raw)} entries",
                accepted=f"one per input in their order, {len(tensors)}; or none",
            )
        arrays: list[NDArray[Any] | None] = [None] * len(tensors)
        for position, tensor in enumerate(tensors):
            at = self._input_at.get(tensor.name)
            if at is None or arrays[at] is not None:
                self._refuse_names([each.name for each in tensors])
            arrays[at] = self._inputs[at].read(tensor, raw[position] if raw else None)
        return tuple(array for array in arrays if array is not None)

    def _read_outputs(self, request: pb.ModelInferRequest) -> tuple[int, ...]:
        chosen: list[int] = []
        for tensor in request.outputs:
            at = self._output_at.get(tensor.name)
            if at is None or at in chosen:
                raise InvalidInputError.of(
                    "outputs",
                    read=tensor.name,
                    accepted=f"each once of {', '.join(self._output_at)}",
                )
            if tensor.parameters:
                check_parameters(f"output {tensor.name!r}", tensor.parameters)
            chosen.append(at)
        return tuple(chosen)

    def _check_rows(self, inputs: tuple[NDArray[Any], ...]) -> int:
        rows: int = inputs[0].shape[0]
        for reader, array in zip(self._inputs, inputs, strict=True):
            if array.shape[0] != rows:
                raise InvalidInputError.of(
                    f"input {reader.name!r} shape",
                    read=list(array.shape),
                    accepted=f"{rows} rows, as input {self._inputs[0].name!r} has",
                )
        return rows

    def _refuse_names(self, names: list[str]) -> NoReturn:
        raise InvalidInputError.of(
            "inputs", read=names, accepted=f"each once: {', '.join(self._input_at)}"
        )


def _rows_of(inputs: tuple[NDArray[Any], ...]) -> int:
    return inputs[0].shape[0] if inputs and inputs[0].ndim else 1
