"""Models of public exporters that one part used to accept and another one refuse.

Each folder below `cases/` has a model, rows, and the view of its columns. The right value is that of
ONNX Runtime for the same row alone. Ensembles are cut to eight trees.
"""

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from scorer.decisions.run_place import RunPlace
from scorer.server.load_model import load_model
from tests.artifact.checked import CHECKS
from tests.registry.samples import ACTOR, trained
from tests.scorer.serving import REF
from understudy.artifact.artifact import describe_artifact
from understudy.artifact.expectation import Expectation
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureRef, FeatureView
from understudy.domain.versions import ScoreOutput
from understudy.features.serving.assembly import compile_plan
from understudy.features.views import load_views
from understudy.gate.gate import examine
from understudy.gate.inspection import InspectionLimits
from understudy.gate.judge import Candidate, judge
from understudy.gate.submission import Submission, Surroundings
from understudy.gate.trial import trial_of_record
from understudy.gate.try_version import try_version
from understudy.provenance.artifact_facts import artifact_facts, feature_facts
from understudy.provenance.capture import producer_of, write_golden
from understudy.provenance.environment_facts import environment_facts
from understudy.provenance.forests import mend_missing
from understudy.provenance.zipmap import take_off_zipmap

CASES = Path(__file__).parent / "cases"
ENOUGH = InspectionLimits(timeout_s=120.0, max_bytes=8 << 30)


def around() -> Surroundings:
    return Surroundings(
        actor=ACTOR,
        now=datetime.now(UTC),
        versions=frozenset(),
        champions=frozenset(),
        view_digests={},
        onnxruntime=onnxruntime.__version__,
    )


@dataclass(frozen=True)
class Case:
    folder: Path
    rows: dict[str, NDArray[Any]]
    views: tuple[FeatureView, ...]
    columns: tuple[str, ...]
    joins_rows: bool = True
    column_inputs: tuple[tuple[str, str], ...] = ()

    def record(self) -> dict[str, Any]:
        record = deepcopy(trained().record)
        record["artifact"] = artifact_facts(self.folder, 1e-5, joins_rows=self.joins_rows)
        record["environment"] = environment(**producer_of(self.folder / "model.onnx"))
        record["features"] = feature_facts(
            self.columns, self.views, self.folder, dict(self.column_inputs)
        )
        return record

    def judged(self, score: ScoreOutput) -> list[str]:
        """Return the findings of the judge, without its child process."""
        text = json.dumps(self.record())
        seen = try_version(self.folder, trial_of_record(text, self.views, score))
        _, files = describe_artifact(self.folder)
        submission = Submission("m", files, text, self.views, score, seen)
        return [str(each) for each in examine(submission, around()).findings]


@cache  # it reads the files of all installed packages
def environment(producer: str, producer_version: str) -> dict[str, Any]:
    facts = environment_facts(None, producer=producer, producer_version=producer_version)
    return {**facts, "lockfile_sha256": sha256(b"numpy==2").hexdigest()}


def case_of(name: str, tmp_path: Path, *columns: str, **changes: Any) -> Case:
    """Copy a case, with golden vectors if its model loads; `columns`: features of its view."""
    folder = tmp_path / name
    folder.mkdir()
    copy(CASES / name / "model.onnx", folder / "model.onnx")
    with np.load(CASES / name / "sample.npz") as stored:
        rows = dict(stored.items())
    views = load_views(CASES / name / "views.yaml")
    chosen = columns or tuple(feature.name for feature in views[0].features)
    refs = tuple(f"{views[0]}:{name}" for name in chosen)
    return Case(folder, rows, views, refs, **changes)


def alone(case: Case, output: str) -> NDArray[Any]:
    """Return the answers of ONNX Runtime for each row alone."""
    session = onnxruntime.InferenceSession(str(case.folder / "model.onnx"))
    count = len(next(iter(case.rows.values())))
    runs = [
        session.run([output], {name: rows[i : i + 1] for name, rows in case.rows.items()})[0]
        for i in range(count)
    ]
    return np.concatenate(runs)


def served(case: Case, features: list[dict[str, Any]]) -> list[NDArray[Any]]:
    """Return the model's outputs for rows that a router has assembled, in one batch."""
    expected = Expectation(joins_rows=case.joins_rows)
    loaded = load_model(case.folder, REF, expected, CHECKS, RunPlace(1.0))
    declared = dict(case.column_inputs)
    plan = compile_plan(
        [FeatureRef.parse(text) for text in case.columns],
        case.views,
        loaded.signature.inputs,
        [declared.get(text, "") for text in case.columns],
    )
    records = [[None] * len(features)] * len(plan.views)
    tensors = plan.assemble(records, features, now_s=0.0).tensors
    read = [
        np.vectorize(bytes.decode, otypes=[object])(tensor) if tensor.dtype.kind == "O" else tensor
        for tensor in tensors
    ]
    return loaded.model.run(read, loaded.model.every_output)


def matrix_features(case: Case, name: str) -> list[dict[str, Any]]:
    names = [column.rpartition(":")[2] for column in case.columns]
    return [
        {key: value for key, value in zip(names, row, strict=True) if value == value}  # noqa: PLR0124 - not NaN
        for row in case.rows[name].tolist()
    ]


def test_an_input_that_no_router_fills_is_refused_with_the_routers_reason(
    tmp_path: Path,
) -> None:
    case = case_of("unservable_int32", tmp_path)
    write_golden(case.folder, case.rows)

    assert (case.judged(ScoreOutput("p"))) == [
        (
            "model inputs 'ids' datatype: read INT32 for int64 of f0, f1, f2; "
            "wanted: FP32 or FP64 or INT64: it can hold every int64"
        )
    ]


def test_a_network_that_takes_its_scale_from_all_rows_is_refused_by_name(
    tmp_path: Path,
) -> None:
    case = case_of("dynquant_mixes", tmp_path)
    write_golden(case.folder, case.rows)

    (finding,) = case.judged(ScoreOutput("p"))

    assert "DynamicQuantizeLinear takes one scale from all rows" in finding
    assert "or artifact.joins_rows: false" in finding


def test_rows_that_run_alone_have_the_score_that_they_have_alone(tmp_path: Path) -> None:
    case = case_of("dynquant_mixes", tmp_path, joins_rows=False)
    write_golden(case.folder, case.rows, joins_rows=False)
    case.rows["x"][1] *= 1000

    assert (case.judged(ScoreOutput("p"))) == []
    (scores,) = served(case, matrix_features(case, "x"))
    assert np.array_equal(scores, alone(case, "p"))


def test_renamed_inputs_are_refused_until_they_are_declared(tmp_path: Path) -> None:
    columns = ("hours-per-week", "age", "plan", "city")
    case = case_of("renamed_inputs", tmp_path, *columns)
    write_golden(case.folder, case.rows)

    assert (case.judged(ScoreOutput("probabilities", 1))) == [
        (
            "model inputs 'hours_per_week': read no feature of this name; wanted: "
            "features.columns[].input 'hours_per_week' for each column that it reads"
        )
    ]

    declared = (("ct_order@1:hours-per-week", "hours_per_week"),)
    told = Case(case.folder, case.rows, case.views, case.columns, column_inputs=declared)
    assert (told.judged(ScoreOutput("probabilities", 1))) == []
    features = [
        {
            name: case.rows[name.replace("-", "_")][row, 0].item()
            for name in ("hours-per-week", "age", "plan", "city")
        }
        for row in range(len(case.rows["age"]))
    ]
    scores = served(told, features)[1][:, 1]
    assert np.array_equal(scores, alone(case, "probabilities")[:, 1])
    assert np.abs(scores - np.load(CASES / "renamed_inputs" / "ref.npy")).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "output", "column"),
    [
        ("lightgbm_opset8", "variable", 0),
        ("wrong_converter", "probabilities", 1),
        ("output_dim_zero", "p", 0),
    ],
)
def test_a_model_that_the_runtime_runs_registers_and_equals_it_bit_for_bit(
    name: str, output: str, column: int, tmp_path: Path
) -> None:
    case = case_of(name, tmp_path)
    write_golden(case.folder, case.rows)

    assert (case.judged(ScoreOutput(output, column))) == []

    (input_name,) = case.rows
    names = [each.name for each in onnx.load(case.folder / "model.onnx").graph.output]
    scores = served(case, matrix_features(case, input_name))[names.index(output)]
    assert np.array_equal(scores, alone(case, output))


def test_the_maps_of_any_exporter_are_one_finding_and_can_be_taken_off(
    tmp_path: Path,
) -> None:
    case = case_of("catboost_zipmap", tmp_path)
    session = onnxruntime.InferenceSession(str(case.folder / "model.onnx"))
    maps = session.run(["probabilities"], case.rows)[0]

    with pytest.raises(InvalidInputError, match="take_off_zipmap") as refused:
        write_golden(case.folder, case.rows)
    assert len(refused.value.faults) == 1

    assert take_off_zipmap(case.folder / "model.onnx") == ("probabilities",)
    assert take_off_zipmap(case.folder / "model.onnx") == ()
    write_golden(case.folder, case.rows)
    assert (case.judged(ScoreOutput("probabilities", 1))) == []
    scores = alone(case, "probabilities")
    assert scores[:, 1].tolist() == [each[1] for each in maps]


def test_texts_in_any_array_are_written_as_golden_vectors(tmp_path: Path) -> None:
    case = case_of("golden_strings", tmp_path)
    rows = {
        name: array.astype(object) if array.dtype.kind == "U" else array
        for name, array in case.rows.items()
    }

    write_golden(case.folder, rows)

    assert case.record()["artifact"]["golden"]["rows"] == 16


def test_a_version_that_is_too_new_is_named_in_whole(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((CASES / "reason_cut_off" / "model.onnx").read_bytes())

    with pytest.raises(
        InvalidInputError, match="Unsupported model IR version: 14, max supported"
    ) as error:
        artifact_facts(tmp_path, 1e-5)

    assert len(error.value.faults) == 1


async def test_wide_inputs_of_two_datatypes_register_and_score(tmp_path: Path) -> None:
    case = case_of("wide_inputs", tmp_path)
    write_golden(case.folder, case.rows)

    text = json.dumps(case.record())
    candidate = Candidate("m", case.folder, text, case.views, ScoreOutput("prob"))
    assert (await judge(candidate, around(), ENOUGH)).findings == ()

    both = np.concatenate([case.rows["x_num"], case.rows["x_cat"]], axis=1).tolist()
    names = [feature.name for feature in case.views[0].features]
    features = [
        {n: int(v) if n.startswith("c") else v for n, v in zip(names, row, strict=True)}
        for row in both
    ]
    (scores,) = served(case, features)
    assert np.array_equal(scores, alone(case, "prob"))


def test_a_forest_that_sends_missing_values_wrongly_needs_defaults(tmp_path: Path) -> None:
    case = case_of("forest_nan", tmp_path)
    write_golden(case.folder, case.rows)

    (finding,) = case.judged(ScoreOutput("probabilities", 1))

    assert finding.startswith("features.columns: read no default for")
    assert "mend_missing" in finding
    wrong = alone(case, "probabilities")[:, 1] - np.load(CASES / "forest_nan" / "ref.npy")
    assert np.abs(wrong).max() > 0.1

    view = replace(
        case.views[0],
        features=tuple(replace(feature, default=0.0) for feature in case.views[0].features),
    )
    assert replace(case, views=(view,)).judged(ScoreOutput("probabilities", 1)) == []


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_mended_forest_agrees_with_scikit_learn_on_missing_values(
    kind: Any, tmp_path: Path
) -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(300, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] ** 2 > 1).astype(int)
    x[random.random(x.shape) < 0.15] = np.nan
    model = kind(8, max_depth=5, random_state=0, n_jobs=1).fit(x, y)
    case = case_of("forest_nan", tmp_path)
    file = case.folder / "model.onnx"
    onnx.save(to_onnx(model, x[:1], options={"zipmap": False}, target_opset=18), file)
    case = replace(case, rows={"X": x[:64]})

    def apart() -> float:
        given = model.predict_proba(x[:64])[:, 1] - alone(case, "probabilities")[:, 1]
        return float(np.abs(given).max())

    assert apart() > 0.05
    assert mend_missing(file, model) > 0
    assert apart() < 1e-6
    write_golden(case.folder, case.rows)
    assert case.judged(ScoreOutput("probabilities", 1)) == []
