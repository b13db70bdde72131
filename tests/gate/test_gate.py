"""The gate names every failing field, and lets complete provenance pass."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.registry.samples import ACTOR, SCORE, VIEW, record_with, trained
from understudy.artifact.digests import digest_and_size
from understudy.domain.features import Feature, FeatureDtype, FeatureView
from understudy.domain.versions import ArtifactFile, ScoreOutput, VersionRef
from understudy.gate.gate import GateReport, examine
from understudy.gate.submission import Submission, Surroundings
from understudy.provenance.artifact_record import Tensor
from understudy.provenance.evidence import Evidence
from understudy.provenance.field_table import field_table
from understudy.provenance.inspect_artifact import inspect_directory
from understudy.provenance.inspection import Inspection
from understudy.provenance.meaning import PLACEHOLDERS
from understudy.provenance.skeleton import record_skeleton

SHA = sha256(b"another").hexdigest()
WAIVER = {
    "absent": True,
    "reason": "a ranker decides nothing",
    "approved_by": "grace@lab",
    "expires_on": (datetime.now(UTC) + timedelta(days=100)).date().isoformat(),
}


@cache
def submission() -> Submission:
    sample = trained()
    paths = sorted(sample.artifact_dir.iterdir())
    return Submission(
        model="fraud",
        files=tuple(ArtifactFile(path.name, *digest_and_size(path)) for path in paths),
        record_json=json.dumps(sample.record),
        views=(VIEW,),
        score_output=SCORE,
        inspection=inspect_directory(sample.artifact_dir),
    )


def around(**changes: Any) -> Surroundings:
    values: dict[str, Any] = {
        "actor": ACTOR,
        "now": datetime.now(UTC),
        "versions": frozenset(),
        "champions": frozenset(),
        "view_digests": {},
        "onnxruntime": submission().inspection.onnxruntime,
    }
    return Surroundings(**{**values, **changes})


def judged(
    record: dict[str, Any] | None = None, surroundings: Surroundings | None = None, **changes: Any
) -> GateReport:
    text = submission().record_json if record is None else json.dumps(record)
    others: dict[str, Any] = {"record_json": text, **changes}
    return examine(replace(submission(), **others), surroundings or around())


def fields_of(report: GateReport) -> list[str]:
    return [finding.field for finding in report.findings]


def test_complete_provenance_passes() -> None:
    report = judged()

    assert report.findings == ()
    assert report.complete
    assert json.loads(report.record_json) == trained().record


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("schema_version", 2, "schema_version"),
        ("artifact.files.0.sha256", SHA, "artifact.files[0].sha256"),
        ("artifact.files.0.size_bytes", 1, "artifact.files[0].size_bytes"),
        ("artifact.files.0.path", "other.onnx", "artifact.files[0].path"),
        ("artifact.files", [], "artifact.files"),
        ("artifact.opsets", {"": 12}, "artifact.opsets"),
        ("artifact.ir_version", 3, "artifact.ir_version"),
        ("artifact.producer", "a friend", "artifact.producer"),
        ("artifact.inputs.0.name", "Y", "artifact.inputs"),
        ("artifact.outputs.1.shape", [-1, 7], "artifact.outputs"),
        ("artifact.golden.rows", 9, "artifact.golden.rows"),
        ("environment.converter.name", "OnnxMLTools", "environment.converter"),
        ("environment.converter.version", "1.0", "environment.converter"),
        ("environment.packages.skl2onnx", "1.0", "environment.packages.skl2onnx"),
        ("environment.packages.onnxruntime", "1.0", "environment.packages.onnxruntime"),
        ("environment.packages", {"numpy": "2"}, "environment.packages.scikit-learn"),
        ("artifact.golden.tolerance", -1.0, "artifact.golden.tolerance"),
        ("code.source", None, "code.source"),
        ("code.source", {"why": "no git checkout"}, "code.source"),
        (
            "code.source",
            {"kind": "git", "repository": "r", "commit": "a1" * 20, "dirty": True},
            "code.source.dirty",
        ),
        (
            "code.source",
            {"kind": "git", "repository": "r", "commit": "0" * 40, "dirty": False},
            "code.source.commit",
        ),
        ("code.source.sha256", "0" * 64, "code.source.sha256"),
        ("code.source.sha256", "1" * 64, "code.source.sha256"),
        ("code.entry_point", " ", "code.entry_point"),
        ("code.command_line", [], "code.command_line"),
        ("data.training.content", SHA, "data.training.content"),
        ("data.training.content", f"sha256:{'0' * 64}", "data.training.content"),
        ("data.training.content", "snapshot:unknown", "data.training.content"),
        ("data.training.rows", 0, "data.training.rows"),
        ("data.training.window.from", "2025-09-01T00:00:00Z", "data.training.window.to"),
        ("data.training.window.from", "2025-01-01T00:00:00+02:00", "data.training.window.from"),
        ("data.evaluation.window.to", "2999-01-01T00:00:00Z", "data.evaluation.window.to"),
        (
            "data.training.label.matured_at",
            "2020-01-01T00:00:00Z",
            "data.training.label.matured_at",
        ),
        (
            "data.training.label.matured_at",
            "2999-01-01T00:00:00Z",
            "data.training.label.matured_at",
        ),
        ("data.training.label.definition", "TODO", "data.training.label.definition"),
        ("data.split.method", "by feel", "data.split.method"),
        ("data.split.method", "temporal", "data.training.window.to"),
        ("data.split.seed", None, "data.split.seed"),
        ("features.columns.0.ref", "patient@1:other", "features.columns[0].ref"),
        ("features.columns.0.ref", "patient:f0", "features.columns[0].ref"),
        ("features.columns.0.ref", "patient@1:f1", "features.columns[1].ref"),
        ("features.columns.0.dtype", "int64", "features.columns[0].dtype"),
        ("features.columns.0.default", 5.0, "features.columns[0].default"),
        ("features.columns.0.max_age_s", 5.0, "features.columns[0].max_age_s"),
        ("features.digest", SHA, "features.digest"),
        ("features.view_digests", {"patient@1": SHA}, "features.view_digests"),
        ("features.transform.digest", SHA, "features.transform.digest"),
        ("parameters.sha256", SHA, "parameters.sha256"),
        ("parameters.values.C", 2.0, "parameters.sha256"),
        ("seeds.values", {}, "seeds.values"),
        ("seeds.values.random_state", -1, "seeds.values.random_state"),
        ("seeds.values.random_state", "7", "seeds.values.random_state"),
        ("environment.lockfile_sha256", None, "environment.lockfile_sha256"),
        ("environment.image_digest", "latest", "environment.image_digest"),
        ("environment.onnxruntime", "99.1.0", "environment.onnxruntime"),
        ("environment.python", "unknown", "environment.python"),
        ("run.ended_at", "2020-01-01T00:00:00Z", "run.ended_at"),
        ("run.ended_at", "2999-01-01T00:00:00Z", "run.ended_at"),
        ("evaluation.metrics", [], "evaluation.metrics"),
        ("evaluation.metrics.0.value", None, "evaluation.metrics[0].value"),
        ("evaluation.metrics.0.value", 2.0, "evaluation.metrics[0].interval"),
        ("evaluation.metrics.0.interval.level", 95, "evaluation.metrics[0].interval.level"),
        ("evaluation.metrics.0.dataset", f"sha256:{SHA}", "evaluation.metrics[0].dataset"),
        ("evaluation.metrics.0.n", 101, "evaluation.metrics[0].n"),
        ("evaluation.threshold", "half", "evaluation.threshold"),
        ("evaluation.comparison", {"first_version": False}, "evaluation.comparison.first_version"),
        ("parent.version", "fraud@3", "parent.version"),
        ("parent.version", "thin air", "parent.version"),
        ("parent.conversion.max_abs_difference", 0.5, "parent.conversion.max_abs_difference"),
        ("people.author", "somebody@else", "people.author"),
        ("people.approver", "ADA@lab", "people.approver"),
        ("people.contact", "N/A", "people.contact"),
        ("policy.revalidate_by", "2020-01-01", "policy.revalidate_by"),
        ("policy.revalidate_by", "soon", "policy.revalidate_by"),
        ("policy.intended_use", WAIVER, "policy.intended_use"),
        (
            "policy.fallback_score",
            {**WAIVER, "expires_on": "2020-01-01"},
            "policy.fallback_score.expires_on",
        ),
        (
            "policy.fallback_score",
            {**WAIVER, "approved_by": ACTOR},
            "policy.fallback_score.approved_by",
        ),
        ("policy.fallback_score", {**WAIVER, "reason": "none"}, "policy.fallback_score.reason"),
        ("policy.fallback_score", {**WAIVER, "absent": False}, "policy.fallback_score.absent"),
        (
            "policy.fallback_score",
            {"absent": True, "reason": "x y"},
            "policy.fallback_score.approved_by",
        ),
    ],
)
def test_a_single_invalid_field_is_named(path: str, value: object, field: str) -> None:
    report = judged(record_with(path, value))

    assert field in fields_of(report)
    assert not report.complete
    assert all(finding.read and finding.wanted for finding in report.findings)


def test_every_missing_group_and_field_is_named_at_once() -> None:
    report = judged({"schema_version": 1, "people": {"owner": "risk"}})

    assert {"artifact", "code", "data", "features", "parameters", "seeds"} <= {*fields_of(report)}
    assert {"people.author", "people.contact", "people.approver"} <= {*fields_of(report)}


def test_an_unfilled_skeleton_is_refused_field_by_field(tmp_path: Any) -> None:
    report = judged(record_skeleton(tmp_path, None, author=ACTOR))

    assert len(report.findings) > 60
    assert "data.training.label.definition" in fields_of(report)
    assert "code.source" in fields_of(report), "outside a checkout nothing is invented"


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    record = record_with("people.owner", "risk")
    record["people"]["boss"] = "eve"
    record["extra"] = {}

    findings = {finding.field: finding for finding in judged(record).findings}

    assert "owner" in findings["people.boss"].wanted
    assert "policy" in findings["extra"].wanted


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "null", '{"a": 1, "a": 2}', '{"threshold": NaN}', '{"threshold": 1e999}'),
        '{"run": "\\ud800"}',
        "[" * 100_000,
        f'{{"a": {"1" * 5000}}}',
    ],
)
def test_input_that_is_not_a_record_is_refused(text: str) -> None:
    assert "record" in fields_of(judged(record_json=text))


@given(st.sampled_from(sorted(PLACEHOLDERS)), st.sampled_from([str.upper, str.title, str.lower]))
def test_placeholders_are_refused_in_any_spelling(word: str, spell: Any) -> None:
    report = judged(record_with("people.owner", f" <{spell(word)}> "))

    assert fields_of(report) == ["people.owner"]


def test_a_waiver_passes_for_a_waivable_field() -> None:
    assert judged(record_with("policy.fallback_score", WAIVER)).complete
    assert judged(record_with("seeds.values", WAIVER)).complete


@pytest.mark.parametrize(
    ("approvers", "is_complete"),
    [({"grace@lab"}, True), ({"mallory"}, False), (set(), False)],
)
def test_where_names_are_proven_a_waiver_names_a_known_approver(
    approvers: set[str], *, is_complete: bool
) -> None:
    record = record_with("policy.fallback_score", WAIVER)

    report = judged(record, around(approvers=frozenset(approvers)))

    assert report.complete is is_complete
    assert is_complete or fields_of(report) == ["policy.fallback_score.approved_by"]
    waived = [row.by for row in report.evidence if row.evidence is Evidence.WAIVED]
    assert not any("unproven" in by for by in waived)


def test_evaluation_on_the_training_data_is_refused() -> None:
    content = trained().record["data"]["training"]["content"]

    assert "data.evaluation.content" in fields_of(
        judged(record_with("data.evaluation.content", content))
    )


def test_a_second_version_must_be_compared_with_a_champion() -> None:
    deployed = around(versions=frozenset({VersionRef("fraud", 1)}), champions=frozenset({1}))

    assert fields_of(judged(surroundings=deployed)) == ["evaluation.comparison"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, []),
        ({"champion": "fraud@2"}, ["evaluation.comparison.champion"]),
        ({"champion": "fraud@9"}, ["evaluation.comparison.champion"] * 2),
        ({"champion": "the old one"}, ["evaluation.comparison.champion"] * 2),
        ({"difference": 0.5}, ["evaluation.comparison.difference"]),
        ({"metric": "lift"}, ["evaluation.comparison.metric"]),
        ({"dataset": f"sha256:{SHA}"}, ["evaluation.comparison.dataset"]),
    ],
)
def test_the_comparison_is_with_a_champion_on_the_same_data(
    change: dict[str, Any], fields: list[str]
) -> None:
    evaluation = trained().record["data"]["evaluation"]["content"]
    comparison = {
        "champion": "fraud@1",
        "metric": "auc",
        "champion_value": 0.8,
        "difference": trained().record["evaluation"]["metrics"][0]["value"] - 0.8,
        "dataset": evaluation,
        **change,
    }
    deployed = around(
        versions=frozenset({VersionRef("fraud", 1), VersionRef("fraud", 2)}),
        champions=frozenset({1}),
    )

    report = judged(record_with("evaluation.comparison", comparison), deployed)

    assert fields_of(report) == fields


def test_a_registered_parent_passes() -> None:
    known = around(versions=frozenset({VersionRef("fraud", 3)}))

    assert judged(record_with("parent.version", "fraud@3"), known).complete


def test_a_view_is_never_redefined() -> None:
    report = judged(surroundings=around(view_digests={"patient@1": SHA}))

    assert fields_of(report) == ["feature_views.patient@1"]


def test_a_feature_set_of_a_different_width_is_refused() -> None:
    record = record_with("features.columns", trained().record["features"]["columns"][:2])

    report = judged(record)

    assert {"features.columns", "features.digest"} <= {*fields_of(report)}


def test_a_string_does_not_fit_a_numeric_matrix() -> None:
    texts = tuple(Feature(f"f{i}", FeatureDtype.STRING) for i in range(3))

    report = judged(
        record_with("features.columns.0.dtype", "string"),
        views=(FeatureView("patient", 1, "patient", texts),),
    )

    wanted = {f.wanted for f in report.findings if f.field == "model inputs 'X' datatype"}
    assert wanted == {"BYTES: it can hold every string"}


@pytest.mark.parametrize(
    "score",
    [ScoreOutput("nothing", 0), ScoreOutput("probabilities", 2), ScoreOutput("label", 1)],
)
def test_the_score_must_be_in_the_outputs(score: ScoreOutput) -> None:
    assert fields_of(judged(score_output=score)) == ["score_output"]


def test_a_score_among_several_columns_is_named() -> None:
    report = judged(score_output=ScoreOutput.parse("probabilities"))

    (finding,) = report.findings
    assert finding.field == "score_output"
    assert finding.read == "no column of probabilities [-1, 2]"
    assert finding.wanted == "a column from 0 to 1, such as probabilities:1"


def test_the_only_column_needs_no_name() -> None:
    inspection = submission().inspection
    outputs = (*inspection.outputs, Tensor(name="alone", datatype="FP32", shape=(-1, 1)))
    changed = inspection.model_copy(update={"outputs": outputs})

    report = judged(score_output=ScoreOutput.parse("alone"), inspection=changed)

    assert all("no column" not in finding.read for finding in report.findings)


def test_a_string_is_not_a_score() -> None:
    inspection = submission().inspection
    outputs = (Tensor(name="label", datatype="BYTES", shape=(-1,)), *inspection.outputs[1:])
    changed = inspection.model_copy(update={"outputs": outputs})

    report = judged(score_output=ScoreOutput("label", 0), inspection=changed)

    assert "score_output" in fields_of(report)


def test_a_replay_beyond_the_tolerance_is_refused() -> None:
    changed = submission().inspection.model_copy(
        update={"golden_differences": {"label": 0.0, "probabilities": 0.1}}
    )

    (finding,) = judged(inspection=changed).findings

    assert str(finding) == (
        "golden.npz output 'probabilities': read a difference of 0.1; wanted: at most 1e-05"
    )


def test_golden_vectors_must_prove_the_score() -> None:
    changed = submission().inspection.model_copy(update={"golden_differences": {"label": 0.0}})

    (finding,) = judged(inspection=changed).findings

    assert finding.wanted == "also out:probabilities, the output of the score"


def test_an_artifact_without_files_is_refused() -> None:
    report = judged(files=(), inspection=Inspection())

    assert fields_of(report).count("artifact.files") == 2


def test_a_file_that_the_record_does_not_name_is_refused() -> None:
    extra = ArtifactFile("weights.bin", SHA, 4)

    report = judged(files=(*submission().files, extra))

    assert [f.read for f in report.findings] == ["no entry for weights.bin"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["absent", "kind", "values", "a"]), inner, max_size=3)
        ),
    ),
    st.sampled_from(sorted(trained().record)),
)
def test_no_value_of_a_group_passes_or_breaks_the_gate(value: Any, group: str) -> None:
    report = judged(record_with(group, value))

    assert report.complete == (group == "schema_version" and value == 1 and value is not True)


def test_the_reference_lists_every_field_as_in_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "provenance.md"

    assert page.read_text().endswith(field_table()), "run: understudy registry provenance fields"


def test_a_model_with_named_inputs_reads_one_feature_with_each() -> None:
    inputs = tuple(Tensor(name=f"f{i}", datatype="FP32", shape=(-1, 1)) for i in range(3))
    split = submission().inspection.model_copy(update={"inputs": inputs})
    texts = (*inputs[:2], Tensor(name="f2", datatype="BYTES", shape=(-1, 1)))
    renamed = (*inputs[:2], Tensor(name="g2", datatype="FP32", shape=(-1, 1)))
    uneven = (*inputs[:1], Tensor(name="rest", datatype="FP32", shape=(-1, 2)))
    flat = (Tensor(name="X", datatype="FP32", shape=(3,)),)

    def wrong(inspection: Inspection) -> list[str]:
        found = fields_of(judged(inspection=inspection))
        return [field for field in found if not field.startswith("artifact")]

    assert wrong(split) == []
    assert wrong(split.model_copy(update={"inputs": texts})) == ["model inputs 'f2' datatype"]
    assert wrong(split.model_copy(update={"inputs": uneven})) == []
    assert wrong(split.model_copy(update={"inputs": renamed})) == ["model inputs 'g2'"]
    assert wrong(split.model_copy(update={"inputs": flat})) == ["model inputs 'X' shape"]


def test_a_view_is_sent_once() -> None:
    assert "feature_views" in fields_of(judged(views=(VIEW, VIEW)))


@pytest.mark.parametrize("claim", ["patient@1:f1", "patient@1:f9"], ids=["present", "unknown"])
def test_a_column_that_no_golden_row_lacks_is_not_proven_with_missing_values(claim: str) -> None:
    record = record_with("parent.conversion.columns_with_missing", ["patient@1:f0", claim])

    report = judged(record)

    (finding,) = report.findings
    assert finding.field == "parent.conversion.columns_with_missing"
    assert claim in finding.read
    assert "patient@1:f0" not in finding.read
    assert finding.field not in [row.field for row in report.evidence]


@pytest.mark.parametrize(
    ("columns", "loads", "evidence"),
    [
        (["patient@1:f0"], True, Evidence.VERIFIED),
        (["patient@1:f0"], False, Evidence.CLAIMED),
        ([], True, Evidence.CLAIMED),
    ],
    ids=["replayed", "not loaded", "none"],
)
def test_columns_with_missing_values_are_verified_by_golden_rows_alone(
    columns: list[str], evidence: Evidence, *, loads: bool
) -> None:
    record = record_with("parent.conversion.columns_with_missing", columns)
    inspection = submission().inspection if loads else Inspection()

    found = {row.field: row for row in judged(record, inspection=inspection).evidence}

    assert found["parent.conversion.columns_with_missing"].evidence is evidence
