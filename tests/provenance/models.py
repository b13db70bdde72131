"""Small ONNX models in memory, with local functions."""

from collections.abc import Iterable

import onnx
from onnx import TensorProto, helper

_OPSET = 18


def graph(nodes: Iterable[onnx.NodeProto]) -> onnx.GraphProto:
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    return helper.make_graph(list(nodes), "g", sides[:1], sides[1:])


def function(
    domain: str,
    name: str,
    *,
    overload: str = "",
    nodes: Iterable[onnx.NodeProto] = (),
    defaults: Iterable[onnx.NodeProto] = (),
) -> onnx.FunctionProto:
    """Return a function with `nodes` in its body and `defaults` in the default of an attribute."""
    body = [helper.make_node("Identity", ["x"], ["y"]), *nodes]
    made = helper.make_function(
        domain, name, ["x"], ["y"], body, [helper.make_opsetid("", _OPSET)], overload=overload
    )
    made.attribute_proto.append(helper.make_attribute("default", graph(defaults)))
    return made


def model_of(
    nodes: Iterable[onnx.NodeProto],
    functions: Iterable[onnx.FunctionProto] = (),
    *,
    opset: int = _OPSET,
) -> onnx.ModelProto:
    """Return a model of `nodes` that imports the operator sets of its functions."""
    local = list(functions)
    domains = sorted({each.domain for each in local} - {"", "ai.onnx", "ai.onnx.ml"})
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    imports += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph(nodes), opset_imports=imports, functions=local, ir_version=10)
