"""The operators that a model may use: standard ones, and its own local functions.

A local function is allowed by its full name, and only if ONNX Runtime has no operator of that name:
otherwise ONNX Runtime runs its own operator and not the function.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import onnx

from understudy.domain.errors import Fault

ALLOWED_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
OLDEST_OPSET = {"": 7, "ai.onnx": 7, "ai.onnx.ml": 1}  # ONNX Runtime runs the main domain from 7
_PATH = "artifact.opsets"
_DOMAINS = f"one of {list(ALLOWED_DOMAINS)}"

Name = tuple[str, str]  # domain and name; the standard domain is ""


def operator_faults(model: onnx.ModelProto, built_in: AbstractSet[Name]) -> Iterator[Fault]:
    """Yield the operator sets, operators and local functions that the gate refuses.

    Args:
        model: the parsed model.
        built_in: names of the operators that ONNX Runtime has itself.
    """
    defined = {(each.domain, each.name, each.overload) for each in model.functions}
    used = {_standard(node.domain) for node in nodes_of(model)}
    imports = [*model.opset_import]
    for function in model.functions:
        imports += function.opset_import
    for domain, version in dict.fromkeys((each.domain, each.version) for each in imports):
        # Exporters import sets of which they use no operator, of any domain and any age.
        if domain in ALLOWED_DOMAINS:
            yield from _opset_faults(domain, version, is_used=_standard(domain) in used)
    foreign = {
        (node.domain, node.op_type)
        for node in nodes_of(model)
        if node.domain not in ALLOWED_DOMAINS
        and (node.domain, node.op_type, node.overload) not in defined
    }
    for domain, name in sorted(foreign):
        accepted = f"{_DOMAINS}, or a local function of that name and overload"
        yield Fault(_PATH, f"operator {name!r} of domain {domain!r}", accepted)
    names = {(_standard(domain), name) for domain, name, _ in defined}
    for domain, name in sorted(names & built_in):
        yield Fault(
            "artifact.functions",
            f"a local function {name!r} of domain {domain!r}",
            "a name that ONNX Runtime has no operator for: it would run its own",
        )


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of the model: in subgraphs, functions, default attributes and training."""
    graphs = [model.graph]
    for training in model.training_info:
        graphs += [training.initialization, training.algorithm]
    for graph in graphs:
        yield from _nodes_below(graph.node)
    for function in model.functions:
        yield from _nodes_below(function.node)
        yield from _nodes_in(function.attribute_proto)


def _nodes_below(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        yield from _nodes_in(node.attribute)


def _nodes_in(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.NodeProto]:
    for attribute in attributes:
        for graph in (attribute.g, *attribute.graphs):
            yield from _nodes_below(graph.node)


def _opset_faults(domain: str, version: int, *, is_used: bool) -> Iterator[Fault]:
    newest = (
        onnx.defs.onnx_ml_opset_version()
        if domain == "ai.onnx.ml"
        else onnx.defs.onnx_opset_version()
    )
    if version > newest or (is_used and version < OLDEST_OPSET[domain]):
        accepted = f"{OLDEST_OPSET[domain]} to {newest}"
        yield Fault(_PATH, f"opset {version} of {domain!r}", accepted)


def _standard(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
