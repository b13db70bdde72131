"""Loading of a version: verified by the checks of the artifact, then warmed up."""

from dataclasses import dataclass
from pathlib import Path

import structlog

from scorer.decisions.run_place import RunPlace
from understudy.artifact.expectation import Expectation
from understudy.artifact.load_checks import CheckOptions, Witness, check_artifact
from understudy.artifact.row_by_row import ServableModel
from understudy.artifact.signature import Signature
from understudy.domain.versions import VersionRef

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoadedModel:
    model: ServableModel
    signature: Signature
    artifact_digest: str
    golden_rows: int  # number of replayed rows; 0 if the artifact has none


def load_model(
    source: Path, ref: VersionRef, expected: Expectation, checks: CheckOptions, place: RunPlace
) -> LoadedModel:
    """Return the model in `source`, verified and warm. `place` learns the duration of runs.

    Raises:
        NotFoundError: there is no artifact.
        CorruptedError: its bytes differ from the registered ones.
        InvalidInputError: it cannot be served; the message gives the reason.
        OverloadedError: it needs more memory than is available.
    """
    checked = check_artifact(source, expected, checks, _Runs(place))
    for why in checked.not_run:
        _log.warning("sample_run_failed", why=why)
    model = checked.model
    signature = Signature(ref, model.inputs, model.outputs, checked.joins_rows)
    return LoadedModel(model, signature, checked.digest, checked.golden_rows)


class _Runs(Witness):
    """Tells the place of runs how long they take."""

    def __init__(self, place: RunPlace) -> None:
        self._place = place

    def ran(self, rows: int, run_s: float) -> None:
        self._place.record(rows, run_s)
