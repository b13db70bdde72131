"""Loading a version: checked and warm."""

from pathlib import Path

from scorer.decisions.run_place import RunPlace
from scorer.server.load_model import load_model
from tests.artifact.models import doubling_artifact, doubling_model
from tests.scorer.serving import OPTIONS, REF
from understudy.artifact.artifact import describe_artifact
from understudy.artifact.expectation import Expectation
from understudy.domain.versions import DYNAMIC, TensorSpec, artifact_digest


def test_a_loaded_model_has_the_facts_of_the_checks(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    _, files = describe_artifact(folder)

    loaded = load_model(folder, REF, Expectation(files), OPTIONS, RunPlace(1.0))

    assert loaded.golden_rows == 4
    assert loaded.artifact_digest == artifact_digest(files)
    assert loaded.signature.ref == REF
    assert loaded.signature.joins_rows
    assert loaded.signature.inputs == (TensorSpec("X", "FP32", (DYNAMIC, 3)),)


def test_warm_up_teaches_how_long_runs_take(tmp_path: Path) -> None:
    place = RunPlace(1.0)

    load_model(doubling_model(tmp_path / "m.onnx"), REF, Expectation(), OPTIONS, place)

    assert place.expected_s(8) > 0
