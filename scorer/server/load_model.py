"""Load a version: prove that it is the registered one and works, then warm it up.

digests -> external data -> session -> signature -> golden vectors -> independent rows -> warm-up.
Each step raises one of our errors that says why the version is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import structlog

from scorer.decisions.run_place import RunPlace
from understudy.artifact.artifact import check_digests, check_external_data, describe_artifact
from understudy.artifact.expectation import Expectation
from understudy.artifact.golden import Arrays, blank_inputs, read_golden, replay, with_rows
from understudy.artifact.onnx_model import OnnxModel, SessionOptions, open_model
from understudy.artifact.row_independence import INDEPENDENT_ROWS, mixed_rows
from understudy.artifact.signature import Signature, has_row_axis
from understudy.artifact.signature_match import signature_faults
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import GOLDEN_FILE, MODEL_FILE, VersionRef

_WARM_RUNS = 3

_log = structlog.get_logger()


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
    faults: tuple[Fault, ...] = ()
    if expected.inputs or expected.outputs:
        faults = signature_faults("inputs", expected.inputs, model.inputs)
        faults += signature_faults("outputs", expected.outputs, model.outputs)
    if faults:
        raise InvalidInputError(faults)
    golden = None
    if any(file.path == GOLDEN_FILE for file in files):
        golden = read_golden(root / GOLDEN_FILE, model.inputs)
        registered = expected.golden_tolerance
        replay(model, golden, options.golden_tolerance if registered is None else registered)
    elif options.require_golden:
        raise InvalidInputError.of(GOLDEN_FILE, read="no such file", accepted="golden vectors")
    sample = golden.inputs if golden is not None else blank_inputs(model.inputs)
    joins_rows = has_row_axis(model.inputs)
    if joins_rows:
        _refuse_mixed_rows(model, sample)
    _warm_up(model, sample, options.warm_rows if joins_rows else 1, place)
    return LoadedModel(
        model,
        Signature(ref, model.inputs, model.outputs, joins_rows),
        digest,
        golden.rows if golden is not None else 0,
    )


def _refuse_mixed_rows(model: OnnxModel, sample: Arrays) -> None:
    """Refuse a model that cannot run rows of several callers at once.

    A model that fails on the sample is believed: the batcher looks at each run's rows anyway.
    """

    def run(inputs: Arrays) -> Arrays | None:
        try:
            return model.run(inputs, model.every_output)
        except InvalidInputError as error:
            _log.warning("sample_run_failed", why=str(error))
            return None

    if why := mixed_rows(run, sample):
        raise InvalidInputError([Fault(f"{MODEL_FILE} rows", why, INDEPENDENT_ROWS)])


def _warm_up(model: OnnxModel, sample: Arrays, up_to_rows: int, place: RunPlace) -> None:
    rows = 1
    while rows <= up_to_rows:
        inputs = with_rows(sample, rows) if up_to_rows > 1 else sample
        for _ in range(_WARM_RUNS):
            started_s = perf_counter()
            try:
                model.run(inputs, model.every_output)
            except InvalidInputError as error:
                # Without golden vectors the sample is zeros and "", which it need not know.
                _log.warning("warm_up_skipped", why=str(error))
                return
            place.record(rows, perf_counter() - started_s)
        rows *= 2
