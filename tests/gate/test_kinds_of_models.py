"""Kinds of models that exporters write: each is served right, or refused with the reason.

Gate, router and scorer are asked; a served row has the answer that ONNX Runtime gives to it alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.gate.test_cases import Case, alone, served
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureView
from understudy.domain.versions import ScoreOutput
from understudy.provenance.capture import write_golden

FLOAT = TensorProto.FLOAT
ROWS = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
VIEW = FeatureView("v", 1, "row", tuple(Feature(f"f{n}", FeatureDtype.FLOAT32) for n in range(4)))
COLUMNS = tuple(f"v@1:{feature.name}" for feature in VIEW.features)
INDEPENDENT = "one row per input row, equal to its result alone"

node = helper.make_node


def value(name: str, kind: int = FLOAT, shape: Sequence[int | str] = ("n", 4)) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, content: Any) -> Any:
    return numpy_helper.from_array(np.asarray(content), name)


AXIS = constant("axis", np.array([1], np.int64))
SUM = node("ReduceSum", ["Z", "axis"], ["Y"], keepdims=1)


def model(
    *nodes: Any,
    outputs: Sequence[Any] = (value("Y", shape=("n", 1)),),
    inputs: Sequence[Any] = (value("X"),),
    constants: Sequence[Any] = (),
    opset: int = 17,
    ir_version: int = 8,
    domains: Sequence[tuple[str, int]] = (),
    functions: Sequence[Any] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), [AXIS, *constants])
    if opset < 13:  # no node reads it
        del graph.initializer[0]
    imports = [helper.make_opsetid(*each) for each in (("", opset), *domains)]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=ir_version, functions=list(functions)
    )


def summed(*nodes: Any, **parts: Any) -> onnx.ModelProto:
    """Make Y, the sum of the columns of Z, which `nodes` make of X."""
    return model(*nodes, SUM, **parts)


def before_13(opset: int, ir_version: int) -> onnx.ModelProto:
    total = node("ReduceSum", ["X"], ["Y"], axes=[1], keepdims=1)
    return model(total, opset=opset, ir_version=ir_version)


def weight_among_inputs() -> onnx.ModelProto:
    """Make a model of IR version 3, in which every constant is an input that callers may leave out."""
    weight = constant("W", np.ones(4, np.float32))
    total = node("ReduceSum", ["Z"], ["Y"], axes=[1], keepdims=1)
    return model(
        node("Add", ["X", "W"], ["Z"]),
        total,
        inputs=[value("X"), value("W", shape=[4])],
        constants=[weight],
        opset=9,
        ir_version=3,
    )


def of_own_function() -> onnx.ModelProto:
    twice = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    return summed(
        node("Twice", ["X"], ["Z"], domain="own"), functions=[twice], domains=[("own", 1)]
    )


def scanned(kept: Any) -> onnx.ModelProto:
    """Make a scan over the rows; `kept` is the node that gives the state of the next row."""
    state = [value("state", shape=[4]), value("row", shape=[4])]
    results = [value("next", shape=[4]), value("out", shape=[4])]
    out = node("Mul", ["row", "row"], ["out"])
    if kept.op_type == "Add":
        out = node("Identity", ["next"], ["out"])
    body = helper.make_graph([kept, out], "body", state, results)
    scan = node("Scan", ["first", "X"], ["last", "Z"], num_scan_inputs=1, body=body)
    return summed(scan, constants=[constant("first", np.zeros(4, np.float32))])


def centred_above(rows: int) -> onnx.ModelProto:
    """Make a model that subtracts the mean of all rows, if there are more than `rows`."""
    then = helper.make_graph(
        [node("ReduceMean", ["X"], ["M"], axes=[0], keepdims=1), node("Sub", ["X", "M"], ["T"])],
        "then",
        [],
        [value("T")],
    )
    other = helper.make_graph([node("Identity", ["X"], ["E"])], "else", [], [value("E")])
    return summed(
        node("Shape", ["X"], ["shape"]),
        node("Gather", ["shape", "zero"], ["count"]),
        node("Greater", ["count", "limit"], ["is_many"]),
        node("If", ["is_many"], ["Z"], then_branch=then, else_branch=other),
        constants=[constant("zero", np.int64(0)), constant("limit", np.int64(rows))],
    )


def answering(kind: int, shape: Sequence[int | str] = ("n", 1)) -> onnx.ModelProto:
    total = node("ReduceSum", ["X", "axis"], ["S"], keepdims=1)
    return model(total, node("Cast", ["S"], ["Y"], to=kind), outputs=[value("Y", kind, shape)])


def reading(kind: int, shape: Sequence[int | str] = ("n", 4)) -> onnx.ModelProto:
    return summed(node("Cast", ["X"], ["Z"], to=FLOAT), inputs=[value("X", kind, shape)])


KINDS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "opset 7, IR 3": (lambda: before_13(7, 3), ""),
    "opset 12, IR 7": (lambda: before_13(12, 7), ""),
    "opset 22, IR 10": (
        lambda: summed(node("Identity", ["X"], ["Z"]), opset=22, ir_version=10),
        "",
    ),
    "opset 23, IR 11": (
        lambda: summed(node("Identity", ["X"], ["Z"]), opset=23, ir_version=11),
        "",
    ),
    "constants among the inputs": (weight_among_inputs, ""),
    "a function of its own": (of_own_function, ""),
    "imports that no node uses": (
        lambda: summed(node("Identity", ["X"], ["Z"]), domains=[("com.unknown", 1)]),
        "",
    ),
    "a constant without values": (
        lambda: summed(
            node("Concat", ["X", "none"], ["Z"], axis=1),
            constants=[constant("none", np.zeros((1, 0), np.float32))],
        ),
        "",
    ),
    "a scan without memory": (lambda: scanned(node("Identity", ["state"], ["next"])), ""),
    "a scan that sums rows up": (
        lambda: scanned(node("Add", ["state", "row"], ["next"])),
        INDEPENDENT,
    ),
    "centred in batches of 200": (lambda: centred_above(200), "in a batch of 256 rows"),
    "sums along the rows": (
        lambda: summed(
            node("CumSum", ["X", "zero"], ["Z"]), constants=[constant("zero", np.int64(0))]
        ),
        INDEPENDENT,
    ),
    "noise": (
        lambda: summed(node("RandomNormalLike", ["X"], ["R"]), node("Add", ["X", "R"], ["Z"])),
        INDEPENDENT,
    ),
    "one answer for all rows": (
        lambda: model(node("ReduceSum", ["X"], ["Y"], keepdims=0), outputs=[value("Y", shape=[])]),
        INDEPENDENT,
    ),
    "answers [n]": (
        lambda: model(
            node("ReduceSum", ["X", "axis"], ["Y"], keepdims=0), outputs=[value("Y", shape=["n"])]
        ),
        "",
    ),
    "answers [n, 1, 1]": (
        lambda: model(
            node("ReduceSum", ["X", "axis"], ["S"], keepdims=1),
            node("Unsqueeze", ["S", "axis"], ["Y"]),
            outputs=[value("Y", shape=("n", 1, 1))],
        ),
        "wanted: shape [n] or [n, k]",
    ),
    "doubles as answers": (lambda: answering(TensorProto.DOUBLE), ""),
    "integers as answers": (lambda: answering(TensorProto.INT32), ""),
    "booleans as answers": (lambda: answering(TensorProto.BOOL), "wanted: a numeric output"),
    "texts as answers": (lambda: answering(TensorProto.STRING), "wanted: a numeric output"),
    "NaN as an answer": (
        lambda: summed(node("Log", ["X"], ["Z"])),
        "a finite score for a row without missing values",
    ),
    "half precision as input": (lambda: reading(TensorProto.FLOAT16), ""),
    "doubles as input": (lambda: reading(TensorProto.DOUBLE), ""),
    "integers as input": (
        lambda: reading(TensorProto.INT32),
        "INT32 for float32 of f0, f1, f2, f3; wanted: FP16 or FP32 or FP64",
    ),
    "two rows as input": (lambda: reading(FLOAT, (2, 4)), "with an open number of rows n"),
    "an open number of columns": (lambda: reading(FLOAT, ("n", "m")), ""),
}


def given_rows(made: onnx.ModelProto) -> NDArray[Any]:
    tensor = made.graph.input[0].type.tensor_type
    rows = tensor.shape.dim[0].dim_value or len(ROWS)
    return ROWS[:rows].astype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))


@pytest.mark.parametrize("name", KINDS)
def test_a_model_is_served_right_or_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    make, reason = KINDS[name]
    made = make()
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    rows = {"X": given_rows(made)}
    write_golden(tmp_path, rows)
    case = Case(tmp_path, rows, (VIEW,), COLUMNS)

    findings = case.judged(ScoreOutput("Y"))

    if reason:
        assert findings
        assert reason in findings[0]
        return
    assert findings == []
    sent = [dict(zip((f.name for f in VIEW.features), row, strict=True)) for row in ROWS.tolist()]
    scores = served(case, sent)[0]
    assert np.array_equal(scores, alone(case, "Y"))


@pytest.mark.parametrize(
    "output",
    [
        helper.make_tensor_sequence_value_info("S", FLOAT, None),
        helper.make_tensor_value_info("S", TensorProto.BFLOAT16, ["n", 4]),
    ],
)
def test_an_output_that_no_tensor_of_the_protocol_holds_is_named(
    output: Any, tmp_path: Path
) -> None:
    is_sequence = output.type.HasField("sequence_type")
    other = (
        node("SequenceConstruct", ["X"], ["S"])
        if is_sequence
        else node("Cast", ["X"], ["S"], to=TensorProto.BFLOAT16)
    )
    made = summed(
        other, node("Identity", ["X"], ["Z"]), outputs=[value("Y", shape=("n", 1)), output]
    )
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())

    with pytest.raises(InvalidInputError, match=r"model outputs 'S': read .*; accepted: one of"):
        write_golden(tmp_path, {"X": ROWS})
