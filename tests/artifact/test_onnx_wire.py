"""Locations of external data, read from a model's bytes; onnx itself is the reference."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.artifact.models import tensor
from understudy.artifact.onnx_wire import external_locations
from understudy.domain.errors import InvalidInputError


def test_locations_are_found_where_onnx_finds_them(tmp_path: Path) -> None:
    """In subgraphs and attributes too; onnx itself is the reference."""
    weights = numpy_helper.from_array(np.ones(2, np.float32), "W")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="offset", value="0")
    weights.external_data.add(key="location", value="deep.bin")
    inner = helper.make_graph(
        [helper.make_node("Identity", ["W"], ["Z"])], "inner", [], [tensor("Z")], [weights]
    )
    constant = TensorProto()
    constant.CopyFrom(weights)
    constant.external_data[1].value = "constant.bin"
    graph = helper.make_graph(
        [
            helper.make_node("If", ["C"], ["Y"], then_branch=inner, else_branch=inner),
            helper.make_node("Constant", [], ["K"], value=constant),
        ],
        "outer",
        [tensor("C", TensorProto.BOOL, (1,))],
        [tensor("Y")],
    )
    raw = helper.make_model(graph).SerializeToString()

    assert set(external_locations(raw)) == {"deep.bin", "constant.bin"}
    assert external_locations(onnx.ModelProto().SerializeToString()) == ()


def external_tensor(location: str) -> TensorProto:
    made = TensorProto(data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=location)
    return made


def test_locations_are_found_in_every_place_that_can_hold_a_tensor() -> None:
    model = onnx.ModelProto()
    graph = model.graph
    graph.initializer.append(external_tensor("initializer"))
    graph.sparse_initializer.add(
        values=external_tensor("sparse-values"), indices=external_tensor("sparse-indices")
    )
    attribute = graph.node.add().attribute.add()
    attribute.t.CopyFrom(external_tensor("t"))
    attribute.tensors.append(external_tensor("tensors"))
    attribute.g.initializer.append(external_tensor("g"))
    attribute.graphs.add().initializer.append(external_tensor("graphs"))
    attribute.sparse_tensor.values.CopyFrom(external_tensor("sparse-tensor"))
    attribute.sparse_tensors.add().values.CopyFrom(external_tensor("sparse-tensors"))
    function = model.functions.add()
    function.node.add().attribute.add().t.CopyFrom(external_tensor("function"))
    function.attribute_proto.add().t.CopyFrom(external_tensor("function-default"))
    training = model.training_info.add()
    training.initialization.initializer.append(external_tensor("training-start"))
    training.algorithm.initializer.append(external_tensor("training-step"))

    assert set(external_locations(model.SerializeToString())) == {
        *("initializer", "sparse-values", "sparse-indices", "t", "tensors", "g", "graphs"),
        *("sparse-tensor", "sparse-tensors", "function", "function-default"),
        *("training-start", "training-step"),
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(content: bytes) -> None:
    with suppress(InvalidInputError):
        external_locations(content)
