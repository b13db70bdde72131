"""The load checks and the gate's own checks on an artifact.

The load checks are those of `understudy.artifact.load_checks`; the gate also restricts operators and
their versions, before the model is loaded. Foreign models never load in the registry: it runs this
in a child process, `understudy.gate.try_version`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from understudy.artifact.expectation import Expectation
from understudy.artifact.golden import Golden
from understudy.artifact.load_checks import CheckedArtifact, CheckOptions, Witness, check_artifact
from understudy.artifact.onnx_model import OnnxModel, out_of_memory, reason_of
from understudy.artifact.session_options import SessionOptions
from understudy.domain.errors import Fault, InvalidInputError, OverloadedError, UnderstudyError
from understudy.domain.versions import MODEL_FILE, TensorSpec
from understudy.provenance.artifact_record import Tensor
from understudy.provenance.findings import Finding
from understudy.provenance.forests import sends_missing_right
from understudy.provenance.inspection import Inspection
from understudy.provenance.operators import Name, operator_faults
from understudy.provenance.producer import written_producer

TOO_LARGE = Finding(
    MODEL_FILE,
    "more memory than the inspection has",
    "a model that fits, or a higher REGISTRY_INSPECTION_MAX_BYTES",
)
# The tolerance is in the record, so the gate compares the differences with it, by the same rule.
# The rows are those of a scorer with default settings.
_OPTIONS = CheckOptions(
    SessionOptions(), golden_tolerance=math.inf, require_golden=True, warm_rows=256
)

Try = Callable[[CheckedArtifact], Iterable[Finding]]


def inspect_directory(
    directory: Path, *, joins_rows: bool = True, try_out: Try = lambda _: ()
) -> Inspection:
    """Return the facts about the artifact in `directory`; problems are values, not errors.

    Args:
        directory: contains the artifact.
        joins_rows: as declared; False if each row runs alone.
        try_out: tries the loaded model; its findings are problems too.
    """
    observed = _Observed()
    try:
        checked = check_artifact(directory, Expectation(joins_rows=joins_rows), _OPTIONS, observed)
        _check_form(directory / MODEL_FILE)
        problems = tuple(try_out(checked))
    except UnderstudyError as error:
        problems = tuple(_findings(error))
    return Inspection(problems=problems, **observed.facts)


class _Observed(Witness):
    """The facts seen by the checks, and the gate's own rule for operators."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {"onnxruntime": onnxruntime.__version__}

    def located(self, model: Path) -> None:
        try:
            parsed = onnx.load(model, load_external_data=False)
        except MemoryError:
            raise
        except Exception as error:  # protobuf raises many kinds, which all mean the same here
            raise InvalidInputError(
                [Fault(MODEL_FILE, reason_of(error), "an ONNX model")]
            ) from error
        self.facts |= {
            "opsets": {entry.domain: entry.version for entry in parsed.opset_import},
            "ir_version": parsed.ir_version,
            "producer": written_producer(parsed.producer_name, parsed.producer_version),
            "sends_missing_right": sends_missing_right(parsed),
        }
        if faults := [*operator_faults(parsed, _built_in())]:
            raise InvalidInputError(faults)

    def opened(self, model: OnnxModel) -> None:
        self.facts["inputs"] = tuple(_tensor(spec) for spec in model.inputs)
        self.facts["outputs"] = tuple(_tensor(spec) for spec in model.outputs)

    def replayed(self, golden: Golden, differences: Mapping[str, float]) -> None:
        self.facts |= {
            "golden_rows": golden.rows,
            "golden_differences": dict(differences),
            "golden_answers": dict(_answers(golden)),
            "golden_missing": tuple(map(_missing_columns, golden.inputs)),
        }


def _answers(golden: Golden) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield least and greatest finite answer of each numeric output."""
    for name, array in golden.outputs.items():
        if array.dtype.kind in "fiu":
            finite = array[np.isfinite(array)]
            if finite.size:
                yield name, (float(finite.min()), float(finite.max()))


def _missing_columns(array: NDArray[Any]) -> tuple[int, ...]:
    """Return the columns with a missing value: NaN, or an empty text."""
    if array.dtype.kind not in "fO" or not array.ndim:
        return ()
    is_missing = array == "" if array.dtype.kind == "O" else np.isnan(array)
    of_columns = is_missing.reshape(len(array), -1).any(axis=0)
    return tuple(np.flatnonzero(of_columns).tolist())


def _check_form(model: Path) -> None:
    """Refuse a model that violates the ONNX standard, even if ONNX Runtime runs it.

    Raises:
        InvalidInputError: with the reason.
    """
    try:
        onnx.checker.check_model(str(model), full_check=True)
    except MemoryError as error:
        raise out_of_memory() from error
    except Exception as error:  # the checker's own errors and protobuf's
        fault = Fault(MODEL_FILE, reason_of(error), "onnx.checker accepts it")
        raise InvalidInputError([fault]) from error


def _findings(error: UnderstudyError) -> list[Finding]:
    match error:
        case InvalidInputError():
            return [Finding.of(fault) for fault in error.faults]
        case OverloadedError():
            return [TOO_LARGE]
        case _:
            return [Finding(MODEL_FILE, str(error), "a complete artifact")]


def _built_in() -> frozenset[Name]:
    """Return the names of all operators that ONNX Runtime has, standard ones and its own."""
    return frozenset((each.domain, each.name) for each in get_all_operator_schema())


def _tensor(spec: TensorSpec) -> Tensor:
    return Tensor(name=spec.name, datatype=spec.datatype, shape=spec.shape)
