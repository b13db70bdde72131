"""The load checks: what is refused, with which messages, and the facts of a valid artifact."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from tests.artifact.checked import CHECKS, check
from tests.artifact.models import (
    doubling_artifact,
    doubling_model,
    save_golden,
    save_model,
    tensor,
)
from tests.scorer.test_decisions import version
from understudy.artifact.artifact import describe_artifact
from understudy.artifact.expectation import Expectation, expectation_of
from understudy.artifact.load_checks import check_artifact
from understudy.domain.errors import CorruptedError, InvalidInputError, NotFoundError
from understudy.domain.versions import DYNAMIC, ArtifactFile, TensorSpec


def expectation_for(folder: Path, **changes: Any) -> Expectation:
    _, files = describe_artifact(folder)
    return Expectation(**{"files": files, **changes})


def test_a_good_artifact_is_replayed_and_joins_rows(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")

    checked = check(folder, expectation_for(folder))

    assert checked.golden_rows == 4
    assert checked.joins_rows
    assert checked.model.inputs == (TensorSpec("X", "FP32", (DYNAMIC, 3)),)


def test_a_single_onnx_file_is_also_an_artifact(tmp_path: Path) -> None:
    checked = check(doubling_model(tmp_path / "any.onnx"))

    assert checked.golden_rows == 0


def test_a_missing_artifact_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        check(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match=r"model\.onnx"):
        check(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_one_changed_byte_is_refused(name: str, tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    expected = expectation_for(folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(CorruptedError, match=rf"{name}.*registered"):
        check(folder, expected)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    expected = expectation_for(folder)
    (folder / "golden.npz").unlink()

    with pytest.raises(CorruptedError, match=r"golden\.npz.*missing"):
        check(folder, expected)


def test_a_registered_path_outside_the_artifact_is_refused(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    (tmp_path / "secret").write_text("s")
    outside = ArtifactFile("../secret", "0" * 64, 1)

    with pytest.raises(CorruptedError, match="missing"):
        check(folder, Expectation(files=(outside,)))


def test_bytes_that_are_not_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x0a\x01x")

    with pytest.raises(InvalidInputError, match=r"model\.onnx.*ONNX Runtime"):
        check(tmp_path)


def test_a_signature_that_differs_from_the_registered_one_is_refused(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    expected = expectation_for(
        folder,
        inputs=(TensorSpec("X", "FP64", (DYNAMIC, 3)),),
        outputs=(TensorSpec("Y", "FP32", (DYNAMIC, 3)),),
    )

    with pytest.raises(InvalidInputError, match=r"inputs .X. datatype.*FP32.*FP64"):
        check(folder, expected)


def test_golden_vectors_beyond_the_tolerance_are_refused(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    rows = np.ones((2, 3), np.float32)
    save_golden(folder, in_X=rows, out_Y=rows * 2 + 0.01)

    with pytest.raises(InvalidInputError, match=r"output 'Y'.*0\.01.*at most 0\.001"):
        check(folder, expectation_for(folder, golden_tolerance=0.001))
    assert check(folder, expectation_for(folder, golden_tolerance=0.1)).golden_rows == 2


def test_a_registered_tolerance_of_0_admits_no_difference(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    rows = np.ones((2, 3), np.float32)
    save_golden(folder, in_X=rows, out_Y=rows * 2 + 1e-5)
    exact = expectation_of(version(1))  # registered with 0
    expected = expectation_for(folder, golden_tolerance=exact.golden_tolerance)

    with pytest.raises(InvalidInputError, match=r"output 'Y'.*at most 0$"):
        check(folder, expected)
    assert check(folder, expectation_for(folder)).golden_rows == 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"in_X": np.ones((2, 3), np.float32)}, "out:NAME"),
        ({"out_Y": np.ones((2, 3), np.float32)}, "in:NAME"),
        (
            {"in_X": np.ones((2, 3), np.float32), "out_Q": np.ones((2, 3), np.float32)},
            "no such output",
        ),
        (
            {"in_X": np.ones((2, 3), np.float32), "out_Y": np.ones((1, 3), np.float32)},
            "shape",
        ),
        (
            {"in_X": np.ones((2, 3), np.float32), "out_Y": np.full((2, 3), np.nan, np.float32)},
            "values are NaN or infinite only",
        ),
        (
            {"in_X": np.array([["a"] * 3]), "out_Y": np.ones((1, 3), np.float32)},
            "accepted: FP32",
        ),
    ],
)
def test_golden_vectors_that_prove_nothing_are_refused(
    arrays: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = doubling_artifact(tmp_path / "a")
    save_golden(folder, **arrays)

    with pytest.raises(InvalidInputError, match=words):
        check(folder)


def test_a_golden_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    (folder / "golden.npz").write_bytes(b"PK\x03\x04 broken")

    with pytest.raises(InvalidInputError, match=r"golden\.npz"):
        check(folder)


def test_golden_vectors_can_be_required(tmp_path: Path) -> None:
    path = doubling_model(tmp_path / "m.onnx")
    strict = replace(CHECKS, require_golden=True)

    with pytest.raises(InvalidInputError, match=r"golden\.npz"):
        check_artifact(path, Expectation(), strict)


def test_a_model_with_a_fixed_number_of_rows_runs_one_by_one(tmp_path: Path) -> None:
    assert not check(doubling_model(tmp_path / "m.onnx", rows=1)).joins_rows


def neighbours(path: Path, kind: int = TensorProto.FLOAT) -> Path:
    """Build a model in which each row's Y is the next row's X, cyclically: Slice and Concat."""
    bounds = {"one": [1], "zero": [0], "end": [2**31], "first": [0]}
    return save_model(
        path,
        [
            helper.make_node("Slice", ["X", "one", "end", "first"], ["rest"]),
            helper.make_node("Slice", ["X", "zero", "one", "first"], ["head"]),
            helper.make_node("Concat", ["rest", "head"], ["Y"], axis=0),
        ],
        [tensor("X", kind)],
        [tensor("Y", kind)],
        [numpy_helper.from_array(np.array(at, np.int64), name) for name, at in bounds.items()],
    )


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (TensorProto.FLOAT, np.zeros((1, 3), np.float32)),
        (TensorProto.FLOAT, np.full((1, 3), np.nan, np.float32)),
        (TensorProto.FLOAT, np.full((1, 3), 3e38, np.float32)),
        (TensorProto.FLOAT16, np.full((1, 3), 6e4, np.float16)),
        (TensorProto.UINT8, np.full((1, 3), 255, np.uint8)),
        (TensorProto.INT64, np.full((1, 3), -(2**63), np.int64)),
        (TensorProto.BOOL, np.ones((1, 3), np.bool_)),
        (TensorProto.STRING, np.array([["a", "a", "a"]])),
    ],
)
def test_a_model_that_answers_with_another_rows_features_is_refused(
    kind: int, row: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    """One golden row alone cannot show it, because its neighbour would be itself."""
    neighbours(tmp_path / "model.onnx", kind)
    save_golden(tmp_path, in_X=row, out_Y=row)

    with pytest.raises(InvalidInputError, match=r"model\.onnx rows.*router joins rows"):
        check(tmp_path)


def test_rows_that_mix_are_refused_without_golden_vectors_too(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="have other answers than alone"):
        check(neighbours(tmp_path / "m.onnx"))


def test_a_model_whose_rows_affect_each_other_is_refused(tmp_path: Path) -> None:
    """Softmax over the batch axis keeps the row count and mixes the rows."""
    path = save_model(
        tmp_path / "m.onnx",
        [helper.make_node("Softmax", ["X"], ["Y"], axis=0)],
        [tensor("X")],
        [tensor("Y")],
    )

    with pytest.raises(InvalidInputError, match="have other answers than alone"):
        check(path)


def test_a_model_that_gives_one_row_for_many_is_refused(tmp_path: Path) -> None:
    path = save_model(
        tmp_path / "m.onnx",
        [helper.make_node("ReduceMax", ["X"], ["Y"], axes=[0], keepdims=1)],
        [tensor("X")],
        [tensor("Y", shape=("M", 3))],
    )

    with pytest.raises(InvalidInputError, match=r"an output of shape \(1, 3\) for \d+ rows"):
        check(path)


def test_a_model_that_mixes_a_fixed_number_of_rows_is_served_without_joining(
    tmp_path: Path,
) -> None:
    path = save_model(
        tmp_path / "m.onnx",
        [helper.make_node("Softmax", ["X"], ["Y"], axis=0)],
        [tensor("X", shape=(2, 3))],
        [tensor("Y", shape=(2, 3))],
    )

    assert not check(path).joins_rows


def test_golden_vectors_without_rows_are_refused(tmp_path: Path) -> None:
    folder = doubling_artifact(tmp_path / "a")
    nothing = np.zeros((0, 3), np.float32)
    save_golden(folder, in_X=nothing, out_Y=nothing)

    with pytest.raises(InvalidInputError, match="0 rows"):
        check(folder)


def external_model(folder: Path, location: str) -> Path:
    """Build a model whose one initializer is in the file `location`."""
    folder.mkdir(exist_ok=True)
    weights = numpy_helper.from_array(np.ones((3,), np.float32), "W")
    external_data_helper.set_external_data(weights, location)
    weights.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("Add", ["X", "W"], ["Y"])], "g", [tensor("X")], [tensor("Y")], [weights]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_inside_the_artifact_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    external_model(folder, "weights.bin")
    (folder / "weights.bin").write_bytes(np.ones(3, np.float32).tobytes())

    checked = check(folder, expectation_for(folder))

    (answer,) = checked.model.run([np.zeros((1, 3), np.float32)], (0,))
    assert answer.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "a/../../weights.bin"])
def test_external_data_outside_the_artifact_is_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    external_model(folder, location)
    (tmp_path / "weights.bin").write_bytes(bytes(12))

    with pytest.raises(InvalidInputError, match="external_data"):
        check(folder)


def test_external_data_that_was_not_registered_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    external_model(folder, "weights.bin")
    expected = expectation_for(folder)
    (folder / "weights.bin").write_bytes(bytes(12))

    with pytest.raises(InvalidInputError, match=r"weights\.bin"):
        check(folder, expected)


def test_a_symbolic_link_out_of_the_artifact_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    external_model(folder, "weights.bin")
    (tmp_path / "weights.bin").write_bytes(bytes(12))
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")

    with pytest.raises(InvalidInputError, match="symbolic link"):
        check(folder)
