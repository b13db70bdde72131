"""The checks that an artifact must pass at registration and at each load.

digests -> external data -> session -> signature -> golden vectors -> independent rows -> warm-up.
Each step raises an error with the reason for refusing the artifact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from understudy.artifact.artifact import (
    check_digests,
    check_external_data,
    describe_artifact,
    locate_artifact,
)
from understudy.artifact.expectation import Expectation
from understudy.artifact.golden import Golden, read_golden
from understudy.artifact.onnx_model import OnnxModel, open_model, out_of_memory
from understudy.artifact.onnx_wire import operator_types
from understudy.artifact.replay import replay, tolerance_faults
from understudy.artifact.row_by_row import RowByRow, ServableModel
from understudy.artifact.row_independence import INDEPENDENT_ROWS, mixed_rows, named_cause
from understudy.artifact.sample import blank_inputs
from understudy.artifact.session_options import SessionOptions
from understudy.artifact.signature import Arrays, has_row_axis
from understudy.artifact.signature_match import signature_faults
from understudy.artifact.warm_up import warm_up
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import GOLDEN_FILE, MODEL_FILE, ArtifactFile, artifact_digest


@dataclass(frozen=True, slots=True)
class CheckOptions:
    session: SessionOptions
    golden_tolerance: float  # largest absolute difference if none is registered; may be infinite
    require_golden: bool
    warm_rows: int  # rows of the largest batch of the warm-up


@dataclass(frozen=True, slots=True)
class CheckedArtifact:
    """A model that may be served, and is warm."""

    model: ServableModel
    digest: str
    golden_rows: int  # replayed rows; 0 if the artifact has no golden vectors
    sample: Arrays  # golden rows, or zeros and "" if there are none
    joins_rows: bool
    not_run: tuple[str, ...]  # errors of rows derived from the sample


class Witness:
    """An observer of the checks, which sees their facts even if they refuse the artifact later."""

    def located(self, model: Path) -> None:
        """Receive the path of the model before it is loaded. May raise to refuse it."""

    def opened(self, model: OnnxModel) -> None:
        """Receive the model once it is loaded."""

    def replayed(self, golden: Golden, differences: Mapping[str, float]) -> None:
        """Receive the differences of the golden outputs before they are judged."""

    def ran(self, rows: int, run_s: float) -> None:
        """Receive rows and duration in seconds of a run of the warm-up."""


def check_artifact(
    source: Path, expected: Expectation, options: CheckOptions, witness: Witness | None = None
) -> CheckedArtifact:
    """Return the model in `source` if it passes every check.

    Args:
        source: a folder that contains `model.onnx`, or one .onnx file.
        expected: the registered facts; empty parts are not compared.
        options: for the session and the golden vectors.
        witness: observes the checks.

    Raises:
        NotFoundError: there is no artifact.
        CorruptedError: its bytes differ from the registered ones.
        InvalidInputError: it cannot be served; the message gives the reason.
        OverloadedError: it needs more memory than is available.
    """
    told = witness or Witness()
    try:
        root, path = locate_artifact(source)
        files, digest = _files(source, root, expected)
        check_external_data(path, files)
        told.located(path)
        model = open_model(path, options.session)
        told.opened(model)
        _check_signature(model, expected)
        joins_rows = has_row_axis(model.inputs)
        served = RowByRow(model) if joins_rows and not expected.joins_rows else model
        golden = _replayed(root, files, served, expected, options, told)
        sample = golden.inputs if golden is not None else blank_inputs(model.inputs)
        not_run = _check_rows(path, served, sample) if joins_rows else ()
        not_run += _warmed_up(served, sample, golden, options.warm_rows if joins_rows else 1, told)
    except MemoryError as error:
        raise out_of_memory() from error
    rows = golden.rows if golden is not None else 0
    return CheckedArtifact(served, digest, rows, sample, joins_rows, not_run)


def _files(source: Path, root: Path, expected: Expectation) -> tuple[tuple[ArtifactFile, ...], str]:
    """Return the files that belong to the artifact, and its digest."""
    if expected.files:
        return expected.files, check_digests(root, expected.files)
    _, found = describe_artifact(source)
    return found, artifact_digest(found)


def _check_signature(model: OnnxModel, expected: Expectation) -> None:
    faults: tuple[Fault, ...] = ()
    if expected.inputs or expected.outputs:
        faults = signature_faults("inputs", expected.inputs, model.inputs)
        faults += signature_faults("outputs", expected.outputs, model.outputs)
    if faults:
        raise InvalidInputError(faults)


def _replayed(
    root: Path,
    files: tuple[ArtifactFile, ...],
    model: ServableModel,
    expected: Expectation,
    options: CheckOptions,
    told: Witness,
) -> Golden | None:
    """Replay the golden vectors and return them; None if there are none and none are required."""
    if not any(file.path == GOLDEN_FILE for file in files):
        if options.require_golden:
            raise InvalidInputError.of(GOLDEN_FILE, read="no such file", accepted="golden vectors")
        return None
    golden = read_golden(root / GOLDEN_FILE, model.inputs, model.outputs)
    differences = replay(model, golden)
    told.replayed(golden, differences)
    registered = expected.golden_tolerance
    tolerance = options.golden_tolerance if registered is None else registered
    if faults := tolerance_faults(differences, tolerance):
        raise InvalidInputError(faults)
    return golden


def _check_rows(path: Path, model: ServableModel, sample: Arrays) -> tuple[str, ...]:
    """Refuse a model that cannot run rows of several callers together.

    Returns the errors of rows that the model could not compute. They do not refuse the model: the
    batcher checks the rows of each run anyway.
    """
    failures: dict[str, None] = {}

    def run(inputs: Arrays) -> Arrays | None:
        try:
            return model.run(inputs, model.every_output)
        except InvalidInputError as error:
            failures[str(error)] = None
            return None

    if why := mixed_rows(run, sample):
        cause = named_cause(operator_types(path.read_bytes()))
        raise InvalidInputError([Fault(f"{MODEL_FILE} rows", f"{why}{cause}", INDEPENDENT_ROWS)])
    return tuple(failures)


def _warmed_up(
    model: ServableModel, sample: Arrays, golden: Golden | None, most_rows: int, told: Witness
) -> tuple[str, ...]:
    """Warm the model up; return the error if it cannot compute a sample of zeros.

    Rows that are answered alone, and otherwise in company, are an error in any case.
    """
    try:
        warm_up(model, sample, most_rows, told.ran)
    except InvalidInputError as error:
        if golden is not None or error.faults[0].accepted == INDEPENDENT_ROWS:
            raise
        # Without golden vectors the sample is zeros and "", which the model may refuse.
        return (str(error),)
    return ()
