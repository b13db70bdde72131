"""Scorer and gate judge an artifact alike: the same verdict with the same message.

The scorer's verdict is the error of `load_model`. The gate's verdict is the findings of its artifact
checks, given the inspection and a truthful record.
"""

import math
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from scorer.decisions.run_place import RunPlace
from scorer.server.load_model import load_model
from scorer.settings import ScorerSettings
from tests.artifact.artifacts import ARTIFACTS, TOLERANCE, Make, doubled
from tests.artifact.checked import CHECKS
from tests.artifact.models import save_golden
from tests.scorer.serving import REF
from understudy.artifact.artifact import describe_artifact
from understudy.artifact.expectation import Expectation
from understudy.artifact.session_options import SessionOptions
from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.versions import ScoreOutput
from understudy.gate.artifact_checks import artifact_findings, tensor_spec
from understudy.gate.inspection import InspectionLimits, inspect
from understudy.gate.submission import Submission
from understudy.gate.trial import Trial
from understudy.provenance.artifact_record import Artifact, FileFact, Golden
from understudy.provenance.inspect_artifact import inspect_directory
from understudy.provenance.inspection import Inspection

OPTIONS = replace(CHECKS, golden_tolerance=TOLERANCE, require_golden=True)


# Required files and the score output are not checked by a scorer.
_OF_THE_GATE_ALONE = frozenset({"artifact.files", "score_output"})


def said_by_scorer(folder: Path, expected: Expectation) -> list[Fault]:
    try:
        load_model(folder, REF, expected, OPTIONS, RunPlace(1.0))
    except InvalidInputError as error:
        return [*error.faults]
    return []


def said_by_gate(folder: Path, inspection: Inspection) -> list[Fault]:
    """Return the findings for a truthful record and a score that is among the golden vectors."""
    _, files = describe_artifact(folder)
    score = ScoreOutput(next(iter(inspection.golden_differences), "Y"))
    submission = Submission("m", files, "", (), score, inspection)
    findings = artifact_findings(submission, true_record(folder, inspection))
    return [
        Fault(each.field, each.read, each.wanted)
        for each in findings
        if each.field not in _OF_THE_GATE_ALONE
    ]


def true_record(folder: Path, inspection: Inspection) -> Artifact | None:
    """Return a truthful record of the artifact; None if it cannot be opened, or a file is empty.

    Records name no empty files.
    """
    _, files = describe_artifact(folder)
    if not inspection.inputs or not all(each.size_bytes for each in files):
        return None
    facts = [FileFact(path=f.path, sha256=f.sha256, size_bytes=f.size_bytes) for f in files]
    return Artifact(
        files=tuple(facts),
        opsets=inspection.opsets,
        ir_version=inspection.ir_version,
        producer="tests",
        inputs=inspection.inputs,
        outputs=inspection.outputs,
        golden=Golden(rows=max(inspection.golden_rows, 1), tolerance=TOLERANCE),
    ).model_copy(update={"producer": inspection.producer})


def registered(folder: Path, inspection: Inspection) -> Expectation:
    """Return the expectation that a scorer host gets after registration."""
    _, files = describe_artifact(folder)
    inputs, outputs = (
        tuple(tensor_spec(each) for each in side)
        for side in (inspection.inputs, inspection.outputs)
    )
    return Expectation(files, inputs, outputs, TOLERANCE)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_scorer_and_gate_give_the_same_verdict_with_the_same_message(
    name: str, tmp_path: Path
) -> None:
    make, words = ARTIFACTS[name]
    folder = tmp_path / "artifact"
    folder.mkdir()
    make(folder)

    inspection = inspect_directory(folder)
    of_gate = said_by_gate(folder, inspection)
    of_scorer = said_by_scorer(folder, Expectation())

    assert of_gate == of_scorer
    if words:
        assert words in str(InvalidInputError(of_scorer))
    else:
        assert of_gate == []
        assert said_by_scorer(folder, registered(folder, inspection)) == []
        assert math.isfinite(sum(inspection.golden_differences.values()))


def test_the_gate_runs_a_model_like_a_scorer_with_default_settings() -> None:
    settings = ScorerSettings()

    assert SessionOptions() == SessionOptions(
        **{field.name: getattr(settings, field.name) for field in fields(SessionOptions)}
    )


@pytest.mark.parametrize("name", ["strings", "pickled arrays"])
async def test_the_gates_process_gives_the_result_of_its_function(
    name: str, tmp_path: Path
) -> None:
    make, _ = ARTIFACTS[name]
    folder = tmp_path / "artifact"
    folder.mkdir()
    make(folder)

    seen = await inspect(folder, Trial(), InspectionLimits(timeout_s=60.0, max_bytes=8 << 30))

    assert seen == inspect_directory(folder)


DTYPES = st.sampled_from(["f2", "f4", "f8", ">f4", "i1", "i4", "i8", "u1", "u8", "?", "U3", "S3"])


@st.composite
def any_golden(draw: st.DrawFn) -> dict[str, Any]:
    """Draw arrays of any kind for input and output of the doubling model, matching or not."""
    shapes = st.sampled_from([(2, 3), (1, 3), (0, 3), (3,), (), (2, 2)])
    given_rows = draw(arrays_of.arrays(draw(DTYPES), draw(shapes)))
    if draw(st.booleans()) and given_rows.dtype.kind in "fiu":
        with np.errstate(all="ignore"):
            return {"in_X": given_rows, "out_Y": given_rows.astype(np.float32) * 2}
    return {"in_X": given_rows, "out_Y": draw(arrays_of.arrays(draw(DTYPES), draw(shapes)))}


@given(any_golden())
def test_any_arrays_get_a_single_verdict(golden: dict[str, Any]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        doubled(np.ones((1, 3)))(folder)
        save_golden(folder, **golden)

        assert said_by_gate(folder, inspect_directory(folder)) == said_by_scorer(
            folder, Expectation()
        )


def make_in(folder: Path, make: Make) -> Path:
    folder.mkdir()
    make(folder)
    return folder


def test_golden_vectors_without_the_score_pass_the_scorer_but_not_the_gate(
    tmp_path: Path,
) -> None:
    """Only the registry knows which output is the score."""
    make, _ = ARTIFACTS["labels as floats"]
    folder = make_in(tmp_path / "a", make)
    inspection = inspect_directory(folder)
    _, files = describe_artifact(folder)

    findings = artifact_findings(
        Submission("m", files, "", (), ScoreOutput("Y"), inspection),
        true_record(folder, inspection),
    )

    assert [each.wanted for each in findings] == ["also out:Y, the output of the score"]
    assert said_by_scorer(folder, Expectation()) == []
