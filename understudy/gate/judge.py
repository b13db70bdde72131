"""The one judge of a version, for the registry, for preflights and for an author offline."""

from dataclasses import dataclass
from pathlib import Path

from understudy.artifact.artifact import describe_artifact
from understudy.domain.features import FeatureView
from understudy.domain.versions import ScoreOutput
from understudy.gate.gate import GateReport, examine
from understudy.gate.inspection import InspectionLimits, inspect
from understudy.gate.submission import Submission, Surroundings
from understudy.gate.trial import trial_of_record


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that may be registered, with its files in a folder."""

    model: str
    artifact_dir: Path  # contains model.onnx and golden.npz
    record_json: str
    views: tuple[FeatureView, ...]
    score_output: ScoreOutput


async def judge(candidate: Candidate, around: Surroundings, limits: InspectionLimits) -> GateReport:
    """Return every reason against registering `candidate`; no finding means that it may be.

    What would run is run, in a child process: the checks and the warm-up of a load, and golden rows
    through a router's assembly, the model and the score output.

    Args:
        candidate: its files are read, and never changed.
        around: the registry's facts; an author without a registry gives empty ones.
        limits: on time and memory of the child process.

    Raises:
        NotFoundError: the folder does not exist, or has no model.onnx.
    """
    _, files = describe_artifact(candidate.artifact_dir)
    trial = trial_of_record(candidate.record_json, candidate.views, candidate.score_output)
    inspection = await inspect(candidate.artifact_dir, trial, limits)
    submission = Submission(
        model=candidate.model,
        files=files,
        record_json=candidate.record_json,
        views=candidate.views,
        score_output=candidate.score_output,
        inspection=inspection,
    )
    return examine(submission, around)
