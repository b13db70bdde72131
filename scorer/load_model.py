"""Load a version: prove that it is the registered one and works, then warm it up.

digests -> external data -> session -> signature -> row axis -> golden vectors -> warm-up.
Each step raises one of our errors that says why the version is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import numpy as np
import structlog
from numpy.typing import NDArray

from domain.errors import Fault, InvalidInputError
from domain.versions import DYNAMIC, GOLDEN_FILE, MODEL_FILE, TensorSpec, VersionRef
from scorer.artifact import check_digests, check_external_data, describe_artifact
from scorer.decisions.run_place import RunPlace
from scorer.decisions.signature_match import signature_faults
from scorer.expectation import Expectation
from scorer.onnx_model import OnnxModel, SessionOptions, open_model
from scorer.signature import DTYPE_OF, Signature, has_row_axis

_PROBE_ROWS = (1, 3)
_GOLDEN_ROWS_ALONE = 8  # golden rows run one by one, to see that rows do not touch each other
_WARM_RUNS = 3

_log = structlog.get_logger()
Arrays = Sequence[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    session: SessionOptions
    golden_tolerance: float  # largest absolute difference where none is registered
    require_golden: bool
    warm_rows: int  # warm-up runs batches of 1, 2, 4, ... up to this


@dataclass(frozen=True, slots=True)
class LoadedModel:
    model: OnnxModel
    signature: Signature
    artifact_digest: str
    golden_rows: int  # replayed; 0 when the artifact has none


def load_model(
    source: Path, ref: VersionRef, expected: Expectation, options: LoadOptions, place: RunPlace
) -> LoadedModel:
    """Return the model in `source`, proven and warm. `place` learns how long runs take.

    Raises:
        NotFoundError: there is no artifact.
        CorruptedError: its bytes are not those that were registered.
        InvalidInputError: it cannot be served; says why.
        OverloadedError: it needs more memory than there is.
    """
    root, found = describe_artifact(source)
    files = expected.files or found
    digest = check_digests(root, files)
    path = source if source.is_file() else source / MODEL_FILE
    check_external_data(path, files)
    model = open_model(path, options.session)
    faults = ()
    if expected.inputs or expected.outputs:
        faults = signature_faults("inputs", expected.inputs, model.inputs)
        faults += signature_faults("outputs", expected.outputs, model.outputs)
    if faults:
        raise InvalidInputError(faults)
    tolerance = expected.golden_tolerance or options.golden_tolerance
    joins_rows = has_row_axis(model.inputs) and _keeps_rows(model)
    golden_rows = 0
    if any(file.path == GOLDEN_FILE for file in files):
        golden_rows, rows_apart = _replay_golden(model, root / GOLDEN_FILE, tolerance, joins_rows)
        joins_rows = joins_rows and rows_apart
    elif options.require_golden:
        raise InvalidInputError.of(GOLDEN_FILE, read="no such file", accepted="golden vectors")
    _warm_up(model, options.warm_rows if joins_rows else 1, place)
    return LoadedModel(
        model, Signature(ref, model.inputs, model.outputs, joins_rows), digest, golden_rows
    )


def _keeps_rows(model: OnnxModel) -> bool:
    """Say whether each output has as many rows as the inputs; a model may refuse to tell."""
    for rows in _PROBE_ROWS:
        try:
            outputs = model.run(_blank_inputs(model, rows), _all_outputs(model))
        except InvalidInputError as error:
            _log.warning("probe_run_failed", rows=rows, why=str(error))
            return all(spec.shape[:1] == (DYNAMIC,) for spec in model.outputs)
        if any(array.shape[:1] != (rows,) for array in outputs):
            return False
    return True


def _replay_golden(
    model: OnnxModel, path: Path, tolerance: float, joins_rows: bool
) -> tuple[int, bool]:
    inputs, expected = _read_golden(model, path)
    outputs = model.run(inputs, _all_outputs(model))
    faults = [
        Fault(f"{GOLDEN_FILE} output {spec.name!r}", read, accepted)
        for spec, array in zip(model.outputs, outputs, strict=True)
        if spec.name in expected
        for read, accepted in _differences(array, expected[spec.name], tolerance)
    ]
    if faults:
        raise InvalidInputError(faults)
    rows = len(inputs[0]) if inputs else 0
    return rows, joins_rows and _rows_stay_apart(model, inputs, outputs, tolerance)


def _read_golden(
    model: OnnxModel, path: Path
) -> tuple[list[NDArray[Any]], dict[str, NDArray[Any]]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise InvalidInputError.of(GOLDEN_FILE, read=str(error), accepted="an .npz file") from error
    missing = [spec.name for spec in model.inputs if f"in:{spec.name}" not in arrays]
    expected = {name[4:]: array for name, array in arrays.items() if name.startswith("out:")}
    if missing or not expected:
        raise InvalidInputError.of(
            GOLDEN_FILE,
            read=f"arrays {sorted(arrays)}",
            accepted="in:NAME for each input, and out:NAME for an output or more",
        )
    return [_as_input(spec, arrays[f"in:{spec.name}"]) for spec in model.inputs], expected


def _as_input(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    # Text is stored as numpy unicode: object arrays would need pickle.
    return np.ascontiguousarray(array.astype(DTYPE_OF[spec.datatype]))


def _differences(
    found: NDArray[Any], golden: NDArray[Any], tolerance: float
) -> list[tuple[str, str]]:
    if found.shape != golden.shape:
        return [(f"shape {found.shape}", f"shape {golden.shape}")]
    if found.dtype.kind != "f":
        wrong = int((found.astype(golden.dtype) != golden).sum())
        return [(f"{wrong} other values", "the golden values")] if wrong else []
    here, there = found.astype(np.float64), golden.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((here == there) | (np.isnan(here) & np.isnan(there)), 0, abs(here - there))
    largest = float(np.max(apart, initial=0.0))
    if largest <= tolerance:
        return []
    return [(f"a difference of {largest:.3g}", f"at most {tolerance:g}")]


def _rows_stay_apart(model: OnnxModel, inputs: Arrays, outputs: Arrays, tolerance: float) -> bool:
    """Say whether a row's outputs are the same alone as in company."""
    for row in range(min(len(inputs[0]), _GOLDEN_ROWS_ALONE)):
        alone = model.run([array[row : row + 1] for array in inputs], _all_outputs(model))
        pairs = zip(alone, outputs, strict=True)
        if any(_differences(here, there[row : row + 1], tolerance) for here, there in pairs):
            _log.warning("rows_not_joined", why="a row's outputs depend on the rows beside it")
            return False
    return True


def _warm_up(model: OnnxModel, up_to_rows: int, place: RunPlace) -> None:
    rows = 1
    while rows <= up_to_rows:
        inputs = _blank_inputs(model, rows)
        for _ in range(_WARM_RUNS):
            started_s = perf_counter()
            try:
                model.run(inputs, _all_outputs(model))
            except InvalidInputError as error:
                # Zeros and "" need not be values that the model knows.
                _log.warning("warm_up_skipped", why=str(error))
                return
            place.record(rows, perf_counter() - started_s)
        rows *= 2


def _blank_inputs(model: OnnxModel, rows: int) -> list[NDArray[Any]]:
    return [_blank(spec, rows) for spec in model.inputs]


def _blank(spec: TensorSpec, rows: int) -> NDArray[Any]:
    shape = [1 if size == DYNAMIC else size for size in spec.shape]
    if spec.shape[:1] == (DYNAMIC,):
        shape[0] = rows
    if spec.datatype == "BYTES":
        return np.full(shape, "", dtype=np.object_)
    return np.zeros(shape, dtype=DTYPE_OF[spec.datatype])


def _all_outputs(model: OnnxModel) -> tuple[int, ...]:
    return tuple(range(len(model.outputs)))
