"""A champion that cannot run here is compared by its answers, which are checked and named as given."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureRef
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ScoreOutput, VersionRef
from understudy.train.champion import Champion, measure_champion
from understudy.train.decisions.kinds import ModelKind
from understudy.train.evaluation import Truth, given_answers, measure_answers
from understudy.train.served_model import ServedModel

BINARY = Truth(np.array([0, 1, 0, 1]), (), None, 0.5, 10, 0, "sha256:rows")
CLASSES = Truth(np.array(["a", "b", "c"]), ("a", "b", "c"), None, None, 10, 0, "sha256:rows")


def embedding(path: Path) -> Path:
    """Write a model that looks its score up by number; it has four of them."""
    scores = numpy_helper.from_array(np.array([0.1, 0.2, 0.3, 0.4], np.float32), "scores")
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["number"], ["at"], to=TensorProto.INT64),
            helper.make_node("Gather", ["scores", "at"], ["score"]),
        ],
        "embedding",
        [helper.make_tensor_value_info("number", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [scores],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path
    )
    return path


@pytest.mark.parametrize(
    ("values", "kind", "truth", "read"),
    [
        ([0.1, 0.2], ModelKind.BINARY, BINARY, r"shape \(2,\)"),
        ([[0.1], [0.2], [0.3], [0.4]], ModelKind.REGRESSION, BINARY, r"shape \(4, 1\)"),
        ([0.1, 0.2, 0.3], ModelKind.MULTICLASS, CLASSES, r"shape \(3,\)"),
        (
            [0.1, float("nan"), 0.3, float("inf")],
            ModelKind.RANKING,
            BINARY,
            "2 values that are not",
        ),
        (["high", "low", "low", "low"], ModelKind.BINARY, BINARY, "could not convert"),
    ],
)
def test_given_answers_that_do_not_fit_the_rows_are_refused(
    values: object, kind: ModelKind, truth: Truth, read: str
) -> None:
    with pytest.raises(InvalidInputError, match=rf"champion_scores: read .*{read}.*accepted"):
        given_answers(values, kind, truth)


def test_given_answers_are_measured_as_those_of_a_model() -> None:
    answers = given_answers([0.2, 0.9, 0.6, 0.5], ModelKind.BINARY, BINARY)

    auc = measure_answers(answers, ModelKind.BINARY, BINARY)[0]

    assert (auc["name"], auc["value"]) == ("auc", 0.75)


def test_a_champion_that_cannot_compute_the_rows_names_the_way(tmp_path: Path) -> None:
    ref, feature = FeatureRef.parse("shop@1:number"), Feature("number", FeatureDtype.FLOAT64)
    model = ServedModel(embedding(tmp_path / "model.onnx"), [ref], [feature])
    spec = VersionSpec(
        ref=VersionRef("fraud", 3),
        artifact_digest="sha256:a",
        files=(),
        provenance_digest="sha256:p",
        inputs=model.inputs,
        outputs=model.outputs,
        feature_set=(ref,),
        feature_views=(),
        score_output=ScoreOutput("score", 0),
        golden_tolerance=0.0,
    )
    rows = (np.array([0.0, 1.0, 2.0, 9.0]),)  # it was trained when there were four

    with pytest.raises(
        InvalidInputError, match=r"^champion: read .fraud@3, which cannot run here: .*"
    ) as at:
        measure_champion(Champion(spec, model, (feature,)), rows, ModelKind.BINARY, BINARY)

    assert "champion_scores" in str(at.value)
