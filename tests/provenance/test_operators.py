"""The operators that the gate accepts, on models in memory."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.provenance.models import function, graph, model_of
from understudy.provenance.inspect_artifact import inspect_directory
from understudy.provenance.operators import ALLOWED_DOMAINS, operator_faults

BUILT_IN = frozenset({("", "Relu"), ("com.microsoft", "Gelu"), ("ai.onnx.ml", "Binarizer")})
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "mine")
NAMES = ("Relu", "Gelu", "F")


def faults(model: onnx.ModelProto) -> str:
    return "; ".join(map(str, operator_faults(model, BUILT_IN)))


def call(domain: str, name: str, overload: str = "") -> onnx.NodeProto:
    node = helper.make_node(name, ["x"], ["y"], domain=domain)
    node.overload = overload
    return node


def test_a_local_function_may_be_used() -> None:
    assert faults(model_of([call("mine", "F")], [function("mine", "F")])) == ""


def test_a_local_function_exempts_no_other_operator_of_its_domain() -> None:
    model = model_of([call("com.microsoft", "Gelu")], [function("com.microsoft", "F")])

    assert "operator 'Gelu' of domain 'com.microsoft'" in faults(model)


def test_a_local_function_exempts_no_other_overload() -> None:
    model = model_of([call("mine", "F", "b")], [function("mine", "F", overload="a")])

    assert "operator 'F' of domain 'mine'" in faults(model)


def test_a_local_function_does_not_hide_an_operator_of_the_runtime() -> None:
    """ONNX Runtime runs its own operator of that name and ignores the function."""
    model = model_of([call("com.microsoft", "Gelu")], [function("com.microsoft", "Gelu")])

    assert "a local function 'Gelu' of domain 'com.microsoft'" in faults(model)


def test_a_function_in_the_standard_domain_exempts_no_opset() -> None:
    model = model_of([call("", "F")], [function("", "F")], opset=99)

    assert "opset 99 of ''" in faults(model)


def test_an_operator_set_is_judged_by_the_operators_that_are_used() -> None:
    body = function("mine", "F")
    body.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model = model_of([call("mine", "F")], [body])
    model.opset_import.append(helper.make_opsetid("ai.onnx.training", 1))

    assert faults(model) == ""

    model.graph.node.append(call("com.microsoft", "Gelu"))
    assert faults(model).startswith("artifact.opsets: read operator 'Gelu' of domain 'com.micro")


@pytest.mark.parametrize(("opset", "is_refused"), [(6, True), (7, False), (8, False), (99, True)])
def test_operator_sets_that_the_runtime_runs_are_accepted(opset: int, is_refused: bool) -> None:
    assert bool(faults(model_of([call("", "Relu")], opset=opset))) == is_refused


@pytest.mark.parametrize("overload", ["", "a"])
def test_the_inspection_knows_the_operators_of_the_runtime(tmp_path: Path, overload: str) -> None:
    shadowing = function("com.microsoft", "Gelu", overload=overload)
    model = model_of([call("com.microsoft", "Gelu", overload)], [shadowing])
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())

    problems = "; ".join(map(str, inspect_directory(tmp_path).problems))

    assert "a local function 'Gelu' of domain 'com.microsoft'" in problems


calls = st.builds(
    call, st.sampled_from(DOMAINS), st.sampled_from(NAMES), st.sampled_from(["", "a"])
)


def nested(inner: st.SearchStrategy[onnx.NodeProto]) -> st.SearchStrategy[onnx.NodeProto]:
    """Return nodes with one of `inner` in a subgraph, alone or in a list of subgraphs."""

    def around(node: onnx.NodeProto, *, in_list: bool) -> onnx.NodeProto:
        outer = call("", "If")
        value: object = [graph([node])] if in_list else graph([node])
        outer.attribute.append(helper.make_attribute("branch", value))
        return outer

    return st.builds(around, inner, in_list=st.booleans())


nodes = st.lists(st.recursive(calls, nested, max_leaves=3), max_size=3)
functions = st.builds(
    function,
    st.sampled_from(DOMAINS),
    st.sampled_from(NAMES),
    overload=st.sampled_from(["", "a"]),
    nodes=nodes,
    defaults=nodes,
)


@given(nodes, st.lists(functions, max_size=3), nodes)
def test_every_node_of_an_accepted_model_is_standard_or_defined_in_it(
    main: list[onnx.NodeProto], local: list[onnx.FunctionProto], training: list[onnx.NodeProto]
) -> None:
    model = model_of(main, local)
    model.training_info.add().algorithm.CopyFrom(graph(training))
    defined = {(each.domain, each.name, each.overload) for each in model.functions}

    accepted = not faults(model)

    allowed = all(
        node.domain in ALLOWED_DOMAINS or (node.domain, node.op_type, node.overload) in defined
        for node in every_node(model)
    )
    standard = {"ai.onnx": ""}
    hidden = any((standard.get(domain, domain), name) in BUILT_IN for domain, name, _ in defined)
    assert accepted == (allowed and not hidden)


def every_node(message: Message) -> Iterator[onnx.NodeProto]:
    """Yield the nodes at any place of a message, by its fields and not by their names."""
    if isinstance(message, onnx.NodeProto):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                yield from every_node(part)
