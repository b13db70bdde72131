"""Child process: check a model, load it, replay its golden vectors, alone and joined.

Prints an Inspection as JSON.
"""

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx.external_data_helper import ExternalDataInfo

from understudy.artifact.row_independence import INDEPENDENT_ROWS, Arrays, mixed_rows
from understudy.domain.versions import DYNAMIC, GOLDEN_FILE, MODEL_FILE
from understudy.provenance.findings import NOTHING, Finding
from understudy.provenance.inspection import Inspection
from understudy.provenance.record import Tensor
from understudy.runtime.lifecycle import die_with_parent

ALLOWED_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
OLDEST_OPSET = {"": 9, "ai.onnx": 9, "ai.onnx.ml": 1}
_NICE = 10  # whoever serves on this machine comes first
GOLDEN_FIELD = f"artifact ({GOLDEN_FILE})"
MODEL_FIELD = f"artifact ({MODEL_FILE})"

# ONNX Runtime's names of tensor types, in the words of the Open Inference Protocol.
DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


def inspect_directory(directory: Path) -> Inspection:
    """Return what can be said of the artifact in `directory`; problems are values, not errors."""
    try:
        model = onnx.load(directory / MODEL_FILE, load_external_data=False)
    except Exception as error:  # noqa: BLE001 - protobuf raises many kinds; all mean the same here
        return _stopped(Finding(MODEL_FIELD, _line(error), "an ONNX model"))
    problems = [*_external_data_problems(model, directory), *_operator_problems(model)]
    facts: dict[str, Any] = {
        "opsets": {entry.domain: entry.version for entry in model.opset_import},
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "onnxruntime": onnxruntime.__version__,
    }
    if problems:  # such a model is not loaded
        return Inspection(problems=tuple(problems), **facts)
    try:
        onnx.checker.check_model(str(directory / MODEL_FILE), full_check=True)
    except Exception as error:  # noqa: BLE001 - the checker's own and protobuf's errors
        return Inspection(
            problems=(Finding(MODEL_FIELD, _line(error), "onnx.checker accepts it"),), **facts
        )
    return _run(directory, facts)


def _run(directory: Path, facts: dict[str, Any]) -> Inspection:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            str(directory / MODEL_FILE), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # noqa: BLE001 - ONNX Runtime has no common base class
        return Inspection(
            problems=(Finding(MODEL_FIELD, _line(error), "ONNX Runtime loads it"),), **facts
        )
    signature = [*session.get_inputs(), *session.get_outputs()]
    problems = [
        Finding(MODEL_FIELD, f"{each.name} is {each.type}", "tensors as inputs and outputs")
        for each in signature
        if each.type not in DATATYPES
    ]
    if problems:
        return Inspection(problems=tuple(problems), **facts)
    facts["inputs"] = tuple(_tensor(each) for each in session.get_inputs())
    facts["outputs"] = tuple(_tensor(each) for each in session.get_outputs())
    return _replay(session, directory / GOLDEN_FILE, facts)


def _replay(session: Any, path: Path, facts: dict[str, Any]) -> Inspection:
    try:
        arrays = _golden_arrays(path)
        outputs = {each.name: arrays[f"out:{each.name}"] for each in session.get_outputs()}
        feeds = {each.name: _fed(arrays[f"in:{each.name}"]) for each in session.get_inputs()}
        rows = _rows(feeds)
        answers = session.run(list(outputs), feeds)
        worst = _worst_difference(outputs, answers)
    except _GoldenError as error:
        return _golden_problem(facts, error.read, error.wanted)
    except KeyError as error:
        return _golden_problem(
            facts, f"no array {error.args[0]!r}", "one for each input and output"
        )
    except Exception as error:  # noqa: BLE001 - ONNX Runtime has no common base class
        return _golden_problem(facts, _line(error), "inputs that the model accepts")
    problems = tuple(_row_problems(session, list(feeds.values()), facts["inputs"]))
    return Inspection(problems=problems, golden_rows=rows, golden_difference=worst, **facts)


def _row_problems(
    session: Any, sample: list[np.ndarray[Any, Any]], inputs: tuple[Tensor, ...]
) -> Iterator[Finding]:
    """Yield a finding when rows mix; models of a fixed number of rows are never joined."""
    if not all(tensor.shape and tensor.shape[0] == DYNAMIC for tensor in inputs):
        return
    names = [tensor.name for tensor in inputs]

    def run(arrays: Arrays) -> Arrays | None:
        try:
            answers = session.run(None, dict(zip(names, arrays, strict=True)))
        except Exception:  # noqa: BLE001 - ONNX Runtime has no common base class
            return None
        return [np.asarray(answer) for answer in answers]

    if why := mixed_rows(run, sample):
        yield Finding("artifact.rows", why, INDEPENDENT_ROWS)


class _GoldenError(Exception):
    def __init__(self, read: str, wanted: str) -> None:
        super().__init__(read)
        self.read = read
        self.wanted = wanted


def _golden_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise _GoldenError(NOTHING, "golden vectors beside the model") from error
    except Exception as error:
        wanted = "an .npz archive without pickled objects"
        raise _GoldenError(_line(error), wanted) from error


def _rows(feeds: dict[str, np.ndarray[Any, Any]]) -> int:
    rows = {array.shape[0] if array.ndim else 0 for array in feeds.values()}
    if rows == {0} or len(rows) != 1:
        raise _GoldenError(f"inputs of {sorted(rows)} rows", "inputs of equal rows, at least 1")
    return rows.pop()


def _worst_difference(expected: dict[str, np.ndarray[Any, Any]], answers: list[Any]) -> float:
    worst = 0.0
    for (name, golden), answer in zip(expected.items(), answers, strict=True):
        difference = _difference(golden, answer)
        if difference is None:
            read = f"out:{name} is not what the model answers"
            raise _GoldenError(read, "golden vectors of this model")
        worst = max(worst, difference)
    return worst


def _fed(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(object) if array.dtype.kind in "US" else array


def _difference(expected: np.ndarray[Any, Any], answer: Any) -> float | None:
    """Largest absolute difference; None when the two cannot be compared or texts differ."""
    got = np.asarray(answer)
    if got.shape != expected.shape:
        return None
    if got.dtype.kind in "OUS":
        return 0.0 if (got.astype(str) == expected.astype(str)).all() else None
    if got.dtype.kind not in "fiub" or expected.dtype.kind not in "fiub":
        return None
    if got.dtype.kind != "f":  # labels and counts have no tolerance
        return 0.0 if (got == expected).all() else None
    wide, reference = got.astype(np.float64), expected.astype(np.float64)
    if not (np.isfinite(wide).all() and np.isfinite(reference).all()):
        return None
    return float(np.abs(wide - reference).max(initial=0.0))


def _external_data_problems(model: onnx.ModelProto, directory: Path) -> Iterator[Finding]:
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = str(ExternalDataInfo(tensor).location)
        path = PurePosixPath(location)
        confined = location and not path.is_absolute() and ".." not in path.parts
        if not confined or "\\" in location or not (directory / path).is_file():
            yield Finding(
                MODEL_FIELD,
                f"external data of {tensor.name!r} in {location!r}",
                "a file of this artifact, by its relative path",
            )


def _operator_problems(model: onnx.ModelProto) -> Iterator[Finding]:
    newest = {"": onnx.defs.onnx_opset_version(), "ai.onnx.ml": onnx.defs.onnx_ml_opset_version()}
    newest["ai.onnx"] = newest[""]
    local = {function.domain for function in model.functions}
    for entry in model.opset_import:
        if entry.domain in local:
            continue
        if entry.domain not in ALLOWED_DOMAINS:
            yield Finding(
                "artifact.opsets",
                f"operator domain {entry.domain!r}",
                f"one of {list(ALLOWED_DOMAINS)}",
            )
        elif not OLDEST_OPSET[entry.domain] <= entry.version <= newest[entry.domain]:
            yield Finding(
                "artifact.opsets",
                f"opset {entry.version} of {entry.domain!r}",
                f"{OLDEST_OPSET[entry.domain]} to {newest[entry.domain]}",
            )
    if any(node.op_type == "ZipMap" for node in _nodes(model)):
        yield Finding(
            MODEL_FIELD,
            "a ZipMap operator: scores come as a list of dictionaries",
            "tensors; convert with skl2onnx options={id(model): {'zipmap': False}}",
        )
    for domain in sorted({node.domain for node in _nodes(model)} - set(ALLOWED_DOMAINS) - local):
        yield Finding(
            "artifact.opsets", f"operators of domain {domain!r}", f"one of {list(ALLOWED_DOMAINS)}"
        )


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _nodes_below(model.graph.node)
    for function in model.functions:
        yield from _nodes_below(function.node)


def _nodes_below(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _nodes_below(attribute.g.node)
            for graph in attribute.graphs:
                yield from _nodes_below(graph.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer


def _tensor(argument: Any) -> Tensor:
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in argument.shape)
    return Tensor(name=argument.name, datatype=DATATYPES[argument.type], shape=shape)


def _golden_problem(facts: dict[str, Any], read: str, wanted: str) -> Inspection:
    return Inspection(problems=(Finding(GOLDEN_FIELD, read, wanted),), **facts)


def _stopped(finding: Finding) -> Inspection:
    return Inspection(problems=(finding,))


def _confine(max_bytes: int) -> None:
    die_with_parent()
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


if __name__ == "__main__":
    _confine(int(sys.argv[2]))
    sys.stdout.write(inspect_directory(Path(sys.argv[1])).model_dump_json())
