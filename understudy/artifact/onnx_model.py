"""An ONNX Runtime session, opened with our options and run with arrays in the model's order."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from understudy.artifact.session_options import SessionOptions
from understudy.artifact.signature import DATATYPE_OF_ONNX
from understudy.domain.errors import Fault, InvalidInputError, OverloadedError
from understudy.domain.versions import DYNAMIC, TensorSpec

_RETRY_AFTER_MS = 100
_OUT_OF_MEMORY = ("failed to allocate memory", "bad allocation", "bad_alloc", "memoryerror")
_ERRORS_ONLY = 3
# The exceptions that a run raises by itself; anything else is a bug of ours.
_RUN_ERRORS: tuple[type[Exception], ...] = (
    MemoryError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
    ort_errors.NotImplemented,
    ort_errors.EngineError,
)
# The source location in ONNX Runtime and the path of our file are not part of the reason.
_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .+? failed: ?"
    r"|\S*/onnxruntime/\S+\.(?:cc|h):\d+ .*?\)(?: const)? (?=\S)"
)
_MOST_CHARACTERS = 500
_ZIPMAP_ACCEPTED = (
    "a tensor; ZipMap makes a map of each row, and understudy.provenance.zipmap.take_off_zipmap "
    "takes it off the file of any exporter"
)


class OnnxModel:
    """A loaded model. `run` may be called from any thread, but from one at a time."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.inputs = tuple(_spec_of(node) for node in session.get_inputs())
        self.outputs = tuple(_spec_of(node) for node in session.get_outputs())
        self.every_output = tuple(range(len(self.outputs)))
        self._session = session
        self._input_names = tuple(spec.name for spec in self.inputs)
        self._output_names = tuple(spec.name for spec in self.outputs)
        self._names_of: dict[tuple[int, ...], list[str]] = {
            self.every_output: list(self._output_names)
        }

    def run(self, inputs: Sequence[NDArray[Any]], outputs: tuple[int, ...]) -> list[NDArray[Any]]:
        """Return the arrays of `outputs` (indices of the model's outputs) for `inputs`.

        Raises:
            InvalidInputError: the model cannot compute these values.
            OverloadedError: there is not enough memory for the run.
        """
        names = self._names_of.get(outputs)
        if names is None:
            names = [self._output_names[at] for at in outputs]
        feeds = dict(zip(self._input_names, inputs, strict=True))
        try:
            arrays: list[NDArray[Any]] = self._session.run(names, feeds)
        except _RUN_ERRORS as error:
            raise _run_error(error) from error
        return arrays


def open_model(path: Path, options: SessionOptions) -> OnnxModel:
    """Return the model in `path`.

    Raises:
        InvalidInputError: ONNX Runtime cannot load it, it has no inputs, or an output is
            not a tensor.
        OverloadedError: there is not enough memory for it.
    """
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    try:
        session = onnxruntime.InferenceSession(
            str(path), _session_options(options), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime raises its own types, RuntimeError and ValueError
        if _is_out_of_memory(error):
            raise out_of_memory() from error
        fault = Fault(path.name, reason_of(error), "a model that ONNX Runtime loads")
        raise InvalidInputError([fault]) from error
    if faults := _signature_faults(session):
        raise InvalidInputError(faults)
    return OnnxModel(session)


def reason_of(error: Exception) -> str:
    """Return the reason in an error of ONNX Runtime or onnx on one line, without our file's path."""
    reason = " ".join(_NOISE.sub("", " ".join(str(error).split())).split())
    return reason if len(reason) <= _MOST_CHARACTERS else f"{reason[:_MOST_CHARACTERS]}…"


def out_of_memory() -> OverloadedError:
    return OverloadedError("memory", retry_after_ms=_RETRY_AFTER_MS)


def _signature_faults(session: onnxruntime.InferenceSession) -> list[Fault]:
    """Return the faults of inputs and outputs that cannot be served."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    nodes = [*(("inputs", node) for node in inputs), *(("outputs", node) for node in outputs)]
    faults = [_fault(where, node) for where, node in nodes if node.type not in DATATYPE_OF_ONNX]
    faults += [
        Fault(f"model inputs {node.name!r} shape", str(node.shape), "open sizes, or at least 1")
        for node in inputs
        if 0 in node.shape  # ONNX Runtime would accept only empty tensors
    ]
    if not inputs:
        faults.append(Fault("model inputs", "none", "one or more"))
    return faults


def _session_options(options: SessionOptions) -> onnxruntime.SessionOptions:
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = options.intra_op_threads
    made.inter_op_num_threads = options.inter_op_threads
    if options.inter_op_threads > 1:  # without it the number of threads has no effect
        made.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    made.log_severity_level = _ERRORS_ONLY
    made.enable_cpu_mem_arena = options.arena
    made.enable_mem_pattern = options.memory_pattern
    spin = str(int(options.spin))
    made.add_session_config_entry("session.intra_op.allow_spinning", spin)
    made.add_session_config_entry("session.inter_op.allow_spinning", spin)
    return made


def _fault(where: str, node: Any) -> Fault:
    is_map = node.type.startswith(("seq(map", "map("))
    accepted = _ZIPMAP_ACCEPTED if is_map else f"one of {', '.join(DATATYPE_OF_ONNX)}"
    return Fault(f"model {where} {node.name!r}", node.type, accepted)


def _spec_of(node: Any) -> TensorSpec:
    # Some exporters write 0 for an unknown size of an output.
    shape = tuple(size if isinstance(size, int) and size > 0 else DYNAMIC for size in node.shape)
    return TensorSpec(node.name, DATATYPE_OF_ONNX[node.type], shape)


def _run_error(error: Exception) -> InvalidInputError | OverloadedError:
    if _is_out_of_memory(error):
        return out_of_memory()
    return InvalidInputError(
        [Fault("inputs", reason_of(error), "values that the model can compute")]
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or is_out_of_memory_text(str(error))


def is_out_of_memory_text(text: str) -> bool:
    """Return whether a library, or a process at its end, says in `text` that memory is lacking."""
    return any(mark in text.lower() for mark in _OUT_OF_MEMORY)
