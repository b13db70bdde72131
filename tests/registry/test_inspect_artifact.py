"""The findings of the inspection of an artifact, on real ONNX files."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from tests.registry.operator import Operator, running_registry
from tests.registry.samples import new_version, trained
from understudy.domain.changes import DeployChampion
from understudy.gate.inspection import InspectionLimits, inspect
from understudy.gate.trial import Trial
from understudy.provenance.capture import write_golden
from understudy.provenance.inspect_artifact import inspect_directory

ENOUGH = InspectionLimits(timeout_s=60.0, max_bytes=2 << 30)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """Return a copy of a valid artifact, to be modified."""
    return Path(shutil.copytree(trained().artifact_dir, tmp_path / "artifact"))


def rewrite(artifact: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(artifact / "model.onnx")
    change(model)
    (artifact / "model.onnx").write_bytes(model.SerializeToString())


def problems(artifact: Path) -> str:
    return "; ".join(str(problem) for problem in inspect_directory(artifact).problems)


async def test_a_sound_artifact_has_facts_and_no_problems(artifact: Path) -> None:
    seen = await inspect(artifact, Trial(), ENOUGH)

    assert seen.problems == ()
    assert [(t.name, t.datatype, t.shape) for t in seen.inputs] == [("X", "FP32", (-1, 3))]
    assert seen.outputs[1].shape == (-1, 2)
    assert seen.golden_rows == 8
    assert {*seen.golden_differences} == {"label", "probabilities"}
    assert max(seen.golden_differences.values()) <= 1e-6
    assert seen == inspect_directory(artifact)


def test_zip_map_is_refused_with_the_function_that_takes_it_off(artifact: Path) -> None:
    x = np.zeros((4, 3), np.float32)
    model = LogisticRegression().fit(x, [0, 1, 0, 1])
    (artifact / "model.onnx").write_bytes(to_onnx(model, x, target_opset=18).SerializeToString())

    assert "take_off_zipmap" in problems(artifact)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "missing.bin", "a/../../b"])
def test_external_data_must_be_inside_the_artifact(artifact: Path, location: str) -> None:
    def point_outside(model: onnx.ModelProto) -> None:
        tensor = numpy_helper.from_array(np.zeros(4, np.float32), "w")
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        model.graph.initializer.append(tensor)

    (artifact.parent / "secret.bin").write_bytes(bytes(16))
    rewrite(artifact, point_outside)

    assert f"external_data.location: read '{location}'" in problems(artifact)


def test_external_data_in_a_subgraph_is_found(artifact: Path) -> None:
    def hide(model: onnx.ModelProto) -> None:
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
        inner = helper.make_graph([], "inner", [], [], initializer=[tensor])
        model.graph.node.append(
            helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)
        )

    rewrite(artifact, hide)

    assert "'/etc/passwd'" in problems(artifact)


def test_an_unknown_operator_domain_is_refused(artifact: Path) -> None:
    def use(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid("com.evil", 1))
        model.graph.node.append(helper.make_node("Run", ["X"], ["z"], domain="com.evil"))

    rewrite(artifact, use)

    assert "operator 'Run' of domain 'com.evil'" in problems(artifact)


@pytest.mark.parametrize("opset", [1, 99])
def test_an_opset_beyond_the_bounds_is_refused(artifact: Path, opset: int) -> None:
    def move(model: onnx.ModelProto) -> None:
        for entry in model.opset_import:
            if entry.domain == "":
                entry.version = opset
        output = model.graph.output[0].name  # an operator of the domain
        model.graph.node.add(op_type="Identity", input=[output], output=["same"])

    rewrite(artifact, move)

    assert f"opset {opset} of ''" in problems(artifact)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x08"])
def test_a_file_that_is_not_a_model_is_a_finding(artifact: Path, content: bytes) -> None:
    (artifact / "model.onnx").write_bytes(content)

    assert problems(artifact)


def test_a_missing_model_is_a_finding(artifact: Path) -> None:
    (artifact / "model.onnx").unlink()

    assert "model.onnx" in problems(artifact)


def test_a_model_that_only_the_checker_rejects_is_a_finding(artifact: Path) -> None:
    rewrite(artifact, lambda model: model.graph.ClearField("name"))

    assert "onnx.checker accepts it" in problems(artifact)


def golden_of(artifact: Path) -> dict[str, Any]:
    with np.load(artifact / "golden.npz") as archive:
        return dict(archive)


def spoil_golden(artifact: Path, name: str, value: object) -> None:
    arrays = golden_of(artifact)
    if value is None:
        del arrays[name]
    else:
        arrays[name] = np.asarray(value)
    np.savez(artifact / "golden.npz", **arrays)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("in:X", None, "in:NAME for each input"),
        ("in:X", np.zeros((0, 3), np.float32), "inputs of 0 rows"),
        ("in:X", np.zeros((8, 4), np.float32), "read shape (8, 4)"),
        ("out:label", np.full(8, 7), "output 'label': read 8 of 8 integers"),
        ("out:probabilities", np.zeros((8, 3), np.float32), "(8, 2), as returned by the model"),
        ("out:probabilities", np.full((8, 2), np.nan, np.float32), "14 of 16 values are NaN"),
        ("out:probabilities", np.full((8, 2), "high"), "numbers, as returned by the model"),
    ],
)
def test_golden_vectors_must_replay(artifact: Path, name: str, value: object, says: str) -> None:
    spoil_golden(artifact, name, value)

    assert says in problems(artifact)


def test_a_replay_measures_the_largest_difference(artifact: Path) -> None:
    arrays = golden_of(artifact)
    spoil_golden(artifact, "out:probabilities", arrays["out:probabilities"] + np.float32(0.25))

    found = inspect_directory(artifact).golden_differences

    assert found["probabilities"] == pytest.approx(0.25, abs=1e-6)


def test_pickled_golden_vectors_are_never_loaded(artifact: Path) -> None:
    spoil_golden(artifact, "in:X", np.array([{"a": 1}], dtype=object))

    assert "read pickled objects" in problems(artifact)


def test_missing_golden_vectors_are_a_finding(artifact: Path) -> None:
    (artifact / "golden.npz").unlink()

    assert "golden.npz: read 'no such file'" in problems(artifact)


async def test_an_inspection_that_takes_too_long_is_a_finding(artifact: Path) -> None:
    seen = await inspect(artifact, Trial(), InspectionLimits(timeout_s=0.01, max_bytes=8 << 30))

    assert "no end within 0.01 s" in str(seen.problems[0])


@pytest.mark.fault
async def test_an_inspection_that_needs_too_much_memory_is_a_finding(artifact: Path) -> None:
    size = 80_000_000

    def grow(model: onnx.ModelProto) -> None:
        model.graph.node.extend(
            [
                helper.make_node(
                    "ConstantOfShape",
                    ["huge"],
                    ["zeros"],
                    value=numpy_helper.from_array(np.zeros(1, np.float32)),
                ),
                helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
                helper.make_node("Add", ["sum", "X"], ["more"]),
            ]
        )
        model.graph.initializer.append(numpy_helper.from_array(np.array([size], np.int64), "huge"))
        model.graph.output.append(
            helper.make_tensor_value_info("more", TensorProto.FLOAT, [None, 3])
        )

    rewrite(artifact, grow)
    spoil_golden(artifact, "out:more", golden_of(artifact)["in:X"])

    assert (await inspect(artifact, Trial(), ENOUGH)).problems == (), (
        "it is the memory and nothing else"
    )
    small = InspectionLimits(timeout_s=60.0, max_bytes=400 << 20)
    (problem,) = (await inspect(artifact, Trial(), small)).problems
    assert "a higher REGISTRY_INSPECTION_MAX_BYTES" in problem.wanted


async def test_a_process_that_dies_is_a_finding(artifact: Path) -> None:
    no_limit_of_the_kernels = InspectionLimits(timeout_s=60.0, max_bytes=1 << 70)

    seen = await inspect(artifact, Trial(), no_limit_of_the_kernels)

    assert "process ended with 1" in str(seen.problems[0])


async def test_a_model_that_gets_no_memory_at_all_is_a_finding(artifact: Path) -> None:
    assert (
        await inspect(artifact, Trial(), InspectionLimits(timeout_s=60.0, max_bytes=1))
    ).problems


def test_string_outputs_replay_exactly(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    model = LogisticRegression().fit(x, ["no", "yes", "no", "yes"])
    converted = to_onnx(model, x, options={id(model): {"zipmap": False}}, target_opset=18)
    (tmp_path / "model.onnx").write_bytes(converted.SerializeToString())
    write_golden(tmp_path, {"X": x})

    assert problems(tmp_path) == ""
    assert inspect_directory(tmp_path).outputs[0].datatype == "BYTES"

    spoil_golden(tmp_path, "out:label", np.array(["no"] * 3 + ["maybe"]))
    assert "output 'label': read 2 of 4 strings" in problems(tmp_path)


def test_outputs_that_are_not_tensors_are_refused(artifact: Path) -> None:
    def add_sequence(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("SequenceConstruct", ["X"], ["many"]))
        kind = helper.make_sequence_type_proto(
            helper.make_tensor_type_proto(TensorProto.FLOAT, [None, 3])
        )
        model.graph.output.append(helper.make_value_info("many", kind))

    rewrite(artifact, add_sequence)

    assert "model outputs 'many': read seq(tensor(float))" in problems(artifact)


def endless(artifact: Path) -> None:
    """Make the model count to 2^62 before it answers."""

    def loop(model: onnx.ModelProto) -> None:
        boolean, integer = TensorProto.BOOL, TensorProto.INT64
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["on"]),
                helper.make_node("Add", ["before", "turn"], ["after"]),
            ],
            "body",
            [
                helper.make_tensor_value_info("turn", integer, []),
                helper.make_tensor_value_info("go", boolean, []),
                helper.make_tensor_value_info("before", integer, []),
            ],
            [
                helper.make_tensor_value_info("on", boolean, []),
                helper.make_tensor_value_info("after", integer, []),
            ],
        )
        model.graph.node.append(
            helper.make_node("Loop", ["turns", "yes", "zero"], ["sum"], body=body)
        )
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(np.array(1 << 62, np.int64), "turns"),
                numpy_helper.from_array(np.array(1, np.bool_), "yes"),
                numpy_helper.from_array(np.array(0, np.int64), "zero"),
            ]
        )
        model.graph.output.append(helper.make_tensor_value_info("sum", integer, []))

    rewrite(artifact, loop)
    spoil_golden(artifact, "out:sum", np.array(0, np.int64))


def inspections_of(directory: Path) -> list[int]:
    """Return the processes that inspect `directory`."""
    wanted = str(directory).encode()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended in the meantime
            continue
        if b"understudy.gate.try_version" in words and any(
            word.startswith(wanted) for word in words
        ):
            found.append(int(entry.name))
    return found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60.0):
        while not holds():  # noqa: ASYNC110 - processes start and end without an event
            await asyncio.sleep(0.01)


@pytest.mark.fault
async def test_an_inspection_ends_with_its_call(artifact: Path) -> None:
    endless(artifact)
    caller = asyncio.ensure_future(inspect(artifact, Trial(), ENOUGH))
    await until(lambda: bool(inspections_of(artifact)))

    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert inspections_of(artifact) == []


@pytest.mark.fault
async def test_endless_models_do_not_block_the_database(
    two_versions: Path, artifact: Path, tmp_path: Path
) -> None:
    endless(artifact)
    directory = tmp_path / "registry"
    shutil.copytree(two_versions, directory)
    async with running_registry(directory, workers=1, max_uploads=2, max_inspections=1) as channel:
        operator = Operator(channel)
        checks = [
            asyncio.ensure_future(operator.check(new_version(artifact_dir=artifact)))
            for _ in range(2)
        ]
        await until(lambda: bool(inspections_of(directory)))

        deployed = await operator.change(DeployChampion(1))
        assert deployed.after.champion == 1
        assert len(inspections_of(directory)) == 1, "the other one waits for its turn"
        for check in checks:
            check.cancel()
        await until(lambda: not inspections_of(directory))
        assert (await operator.check(new_version(model="other"))).report.complete
