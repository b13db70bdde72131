"""The gate refuses models whose answer to a row depends on the other rows."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from understudy.artifact.row_independence import INDEPENDENT_ROWS, distinct_rows, mixed_rows
from understudy.provenance.capture import write_golden
from understudy.provenance.inspect_artifact import inspect_directory
from understudy.provenance.inspection import Inspection

INTEGERS = {"one": [1], "zero": [0], "end": [2**31]}
NEIGHBOUR = [
    helper.make_node("Slice", ["X", "one", "end", "zero"], ["rest"]),
    helper.make_node("Slice", ["X", "zero", "one", "zero"], ["head"]),
    helper.make_node("Concat", ["rest", "head"], ["Y"], axis=0),
]
FIRST_ROW = [helper.make_node("Slice", ["X", "zero", "one", "zero"], ["Y"])]
FIRST_ROW_FOR_ALL = [
    helper.make_node("Slice", ["X", "zero", "one", "zero"], ["head"]),
    helper.make_node("Shape", ["X"], ["shape"]),
    helper.make_node("Expand", ["head", "shape"], ["Y"]),
]
BATCH_MEAN = [
    helper.make_node("ReduceMean", ["X"], ["mean"], axes=[0], keepdims=1),
    helper.make_node("Sub", ["X", "mean"], ["Y"]),
]
OWN_ROW = [helper.make_node("Add", ["X", "X"], ["Y"])]


def artifact(folder: Path, nodes: list[Any], golden: NDArray[Any], *, rows: Any = "N") -> Path:
    def info(name: str, size: Any) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, 3])

    out_rows = "M" if isinstance(rows, str) else rows
    graph = helper.make_graph(
        nodes,
        "graph",
        [info("X", rows)],
        [info("Y", out_rows)],
        [numpy_helper.from_array(np.array(at, np.int64), name) for name, at in INTEGERS.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    write_golden(folder, {"X": golden.astype(np.float32)})
    return folder


@pytest.mark.parametrize("golden_rows", [1, 8])
@pytest.mark.parametrize("nodes", [NEIGHBOUR, FIRST_ROW, FIRST_ROW_FOR_ALL, BATCH_MEAN])
def test_a_model_that_mixes_rows_is_a_finding(
    nodes: list[Any], golden_rows: int, tmp_path: Path
) -> None:
    golden = np.ones((golden_rows, 3))  # equal rows, which cannot show it without changes

    seen = inspect_directory(artifact(tmp_path, nodes, golden))

    assert [(each.field, each.wanted) for each in seen.problems] == [
        ("model.onnx rows", INDEPENDENT_ROWS)
    ]


def test_the_inspecting_process_reports_mixed_rows(tmp_path: Path) -> None:
    folder = artifact(tmp_path, NEIGHBOUR, np.ones((1, 3)))

    done = subprocess.run(
        [sys.executable, "-m", "understudy.gate.try_version", str(folder), str(8 << 30)],
        input=b"{}",
        capture_output=True,
        check=True,
    )

    seen = Inspection.model_validate_json(done.stdout)
    assert seen.golden_rows == 1
    assert "have other answers than alone" in str(seen.problems[0])


def test_a_fixed_number_of_rows_is_never_joined_and_may_mix(tmp_path: Path) -> None:
    assert inspect_directory(artifact(tmp_path, BATCH_MEAN, np.eye(2, 3), rows=2)).problems == ()


def test_independent_rows_give_no_finding(tmp_path: Path) -> None:
    assert inspect_directory(artifact(tmp_path, OWN_ROW, np.ones((1, 3)))).problems == ()


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, RandomForestClassifier])
def test_trees_with_many_ties_give_no_finding(kind: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    x = random.integers(0, 2, (60, 3)).astype(np.float32)
    model = kind(n_estimators=10, random_state=1).fit(x, random.integers(0, 2, 60))
    converted = to_onnx(model, x[:1], options={id(model): {"zipmap": False}}, target_opset=18)
    (tmp_path / "model.onnx").write_bytes(converted.SerializeToString())
    write_golden(tmp_path, {"X": x[:8]})

    assert inspect_directory(tmp_path).problems == ()


def test_copies_differ_in_every_number() -> None:
    rows, flags = distinct_rows([np.array([[-1.0, 0.0, 5e8]] * 3), np.array([[True]] * 3)])

    made = rows[3:]
    for column in range(3):
        assert len(np.unique(np.append(made[:, column], rows[0, column]))) == len(made) + 1
    assert set(flags[3:, 0].tolist()) == {True, False}


def test_rows_that_the_model_cannot_compute_alone_are_left_out() -> None:
    """Integers may be categories: a model with three colours fails on a fourth."""

    def colours(inputs: Any) -> Any:
        (names,) = inputs
        return None if (names > 2).any() else [names[::-1] * 1.0]

    assert mixed_rows(colours, [np.array([[0], [1], [2]])]) != ""
    assert mixed_rows(lambda inputs: None, [np.array([[0], [1]])]) == ""


def test_rows_that_fail_only_together_are_found() -> None:
    def one_only(inputs: Any) -> Any:
        return inputs if len(inputs[0]) == 1 else None

    assert "fail together" in mixed_rows(one_only, [np.ones((1, 2))])


def test_one_huge_answer_hides_no_mixing_of_small_ones() -> None:
    def small_then_huge(inputs: Any) -> Any:
        (values,) = inputs
        answers = values[::-1] * 1e-4
        answers[np.argmax(values[:, 0])] = 1e30
        return [answers]

    assert mixed_rows(small_then_huge, [np.array([[1.0]])]) != ""


def test_one_label_on_a_tie_may_flip() -> None:
    def labels(turning: int) -> Any:
        def run(inputs: Any) -> Any:
            (values,) = inputs
            found = np.zeros(len(values), np.int64)
            found[: turning if len(values) > 1 else 0] = 1
            return [found]

        return run

    sample = [np.ones((1, 1))]
    assert mixed_rows(labels(1), sample) == ""
    assert mixed_rows(labels(2), sample) != ""


@pytest.mark.parametrize(
    "values", [np.array(["a"] * 3, np.object_), np.array([0, 1, 255], np.uint8)]
)
def test_inputs_of_one_column_may_have_one_dimension(values: Any) -> None:
    """A row of such an array is a scalar."""
    rows = distinct_rows([values])[0]

    assert rows.dtype == values.dtype
    assert rows.shape == (9,)
    assert len(set(rows.tolist())) > 2
