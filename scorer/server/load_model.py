"""Loading of a version: verified by the checks of the artifact, then warmed up."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import structlog

from scorer.decisions.run_place import RunPlace
from understudy.artifact.expectation import Expectation
from understudy.artifact.load_checks import CheckedArtifact, CheckOptions, check_artifact
from understudy.artifact.onnx_model import OnnxModel
from understudy.artifact.sample import with_rows
from understudy.artifact.signature import Signature
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef

_WARM_RUNS = 3

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoadOptions:
    checks: CheckOptions
    warm_rows: int  # warm-up runs batches of 1, 2, 4, ... up to this


@dataclass(frozen=True, slots=True)
class LoadedModel:
    model: OnnxModel
    signature: Signature
    artifact_digest: str
    golden_rows: int  # number of replayed rows; 0 if the artifact has none


def load_model(
    source: Path, ref: VersionRef, expected: Expectation, options: LoadOptions, place: RunPlace
) -> LoadedModel:
    """Return the model in `source`, verified and warm. `place` learns the duration of runs.

    Raises:
        NotFoundError: there is no artifact.
        CorruptedError: its bytes differ from the registered ones.
        InvalidInputError: it cannot be served; the message gives the reason.
        OverloadedError: it needs more memory than is available.
    """
    checked = check_artifact(source, expected, options.checks)
    for why in checked.not_run:
        _log.warning("sample_run_failed", why=why)
    _warm_up(checked, options.warm_rows if checked.joins_rows else 1, place)
    model = checked.model
    signature = Signature(ref, model.inputs, model.outputs, checked.joins_rows)
    return LoadedModel(model, signature, checked.digest, checked.golden_rows)


def _warm_up(checked: CheckedArtifact, up_to_rows: int, place: RunPlace) -> None:
    model, sample = checked.model, checked.sample
    rows = 1
    while rows <= up_to_rows:
        inputs = with_rows(sample, rows) if up_to_rows > 1 else sample
        for _ in range(_WARM_RUNS):
            started_s = perf_counter()
            try:
                model.run(inputs, model.every_output)
            except InvalidInputError as error:
                # Without golden vectors the sample is zeros and "", which the model may reject.
                _log.warning("warm_up_skipped", why=str(error))
                return
            place.record(rows, perf_counter() - started_s)
        rows *= 2
