"""Gate, router and scorer agree on generated models: one accepts if and only if the others serve."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from hypothesis import event, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.artifact.models import save_model
from tests.gate.test_cases import Case, served
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import Feature, FeatureDtype, FeatureView
from understudy.domain.versions import ScoreOutput
from understudy.provenance.capture import write_golden

_TYPES = {
    FeatureDtype.FLOAT32: (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16),
    FeatureDtype.INT64: (TensorProto.INT64, TensorProto.FLOAT, TensorProto.INT32),
    FeatureDtype.BOOL: (TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT32, TensorProto.FLOAT),
    FeatureDtype.STRING: (TensorProto.STRING, TensorProto.FLOAT),
}
_ONE = {FeatureDtype.FLOAT32: 1.0, FeatureDtype.INT64: 1, FeatureDtype.BOOL: True}
_NAMES = ("f0", "f1", "x/num:0", "serving_default", "view@1")


@dataclass(frozen=True)
class Made:
    """A model to make: its inputs, and the features that its record declares."""

    inputs: tuple[tuple[str, int, tuple[int | str, ...]], ...]  # name, element type, shape
    dtypes: tuple[FeatureDtype, ...]
    declared: tuple[str, ...]


@st.composite
def models(draw: st.DrawFn) -> Made:
    inputs: list[tuple[str, int, tuple[int | str, ...]]] = []
    dtypes: list[FeatureDtype] = []
    declared: list[str] = []
    for name in draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3, unique=True)):
        dtype = draw(st.sampled_from(list(_TYPES)))
        width = draw(st.integers(1, 3))
        forms: list[tuple[int | str, ...]] = [("n", width)] * 7 + [
            ("n",),
            (1, width),
            ("n", width, 1),
        ]
        inputs.append((name, draw(st.sampled_from(_TYPES[dtype])), draw(st.sampled_from(forms))))
        dtypes += [dtype] * draw(st.sampled_from([width] * 5 + [1]))
        declared += [name] * (len(dtypes) - len(declared))
    is_declared = draw(st.booleans())
    return Made(tuple(inputs), tuple(dtypes), tuple(declared) if is_declared else ())


def write_model(path: Path, made: Made) -> None:
    """Write a model whose answer to a row is the sum of its inputs' means; texts are digits."""
    nodes: list[onnx.NodeProto] = []
    sums: list[str] = []
    for number, (name, _, shape) in enumerate(made.inputs):
        nodes.append(helper.make_node("Cast", [name], [f"real{number}"], to=TensorProto.FLOAT))
        summed = f"real{number}"
        if len(shape) > 1:
            axes = list(range(1, len(shape)))
            nodes.append(
                helper.make_node("ReduceMean", [summed], [f"m{number}"], axes=axes, keepdims=0)
            )
            summed = f"m{number}"
        sums.append(summed)
    nodes.append(helper.make_node("Sum", sums, ["Y"]))
    ins = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in made.inputs]
    save_model(path, nodes, ins, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None])])


def golden_of(made: Made) -> dict[str, np.ndarray]:
    rows: dict[str, np.ndarray] = {}
    for name, kind, shape in made.inputs:
        sizes = [size if isinstance(size, int) else 2 for size in shape]
        if kind == TensorProto.STRING:
            rows[name] = np.full(sizes, "1")
        else:
            rows[name] = np.ones(sizes, helper.tensor_dtype_to_np_dtype(kind))
    return rows


@settings(max_examples=20)
@given(models())
def test_the_gate_accepts_a_model_exactly_if_router_and_scorer_serve_it(made: Made) -> None:
    features = tuple(Feature(f"f{place}", dtype) for place, dtype in enumerate(made.dtypes))
    view = FeatureView("v", 1, "row", features)
    columns = tuple(f"v@1:{feature.name}" for feature in features)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model.onnx", made)
        write_golden(folder, golden_of(made))
        declared = tuple(zip(columns, made.declared, strict=True)) if made.declared else ()
        case = Case(folder, golden_of(made), (view,), columns, column_inputs=declared)

        findings = case.judged(ScoreOutput("Y"))
        sent = [{f.name: _ONE.get(f.dtype, "1") for f in features}] * 2
        try:
            (scores,) = served(case, sent)
        except InvalidInputError as error:
            said = str(error)
            event("refused")
            assert findings, f"the gate accepts, but: {said}"
        else:
            event("served")
            assert scores.tolist() == [len(made.inputs)] * 2
            assert findings == []
