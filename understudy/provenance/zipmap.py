"""Removal of ZipMap, by which exporters return probabilities as a map per row."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

_CLASSES = ("classlabels_int64s", "classlabels_strings")


def take_off_zipmap(model_file: Path) -> tuple[str, ...]:
    """Rewrite a model without ZipMap: its outputs become tensors of shape (n, classes), float32.

    The columns are in the order of the classes, and nothing else changes: parity and golden vectors
    hold as before.

    Args:
        model_file: the model of any exporter, e.g. model.onnx; written only if it changes.

    Returns:
        The names of the outputs that were maps; empty if there were none.
    """
    model = onnx.load(model_file, load_external_data=False)
    changed = tuple(_without_maps(model.graph))
    if changed:
        scratch = model_file.with_name(f"{model_file.name}.new")
        scratch.write_bytes(model.SerializeToString())
        scratch.replace(model_file)
    return changed


def _without_maps(graph: onnx.GraphProto) -> list[str]:
    changed: list[str] = []
    for node in [each for each in graph.node if each.op_type == "ZipMap"]:
        (source,), (target,) = node.input, node.output
        output = next((each for each in graph.output if each.name == target), None)
        graph.node.remove(node)
        if output is None:  # nothing else can read a map
            continue
        classes = sum(len(helper.get_attribute_value(each)) for each in _classes_of(node))
        changed.append(target)
        if any(each.name == source for each in graph.output):
            graph.output.remove(output)  # the tensor is an output already
            continue
        output.CopyFrom(helper.make_tensor_value_info(target, TensorProto.FLOAT, [None, classes]))
        _rename(graph, source, target)
    return changed


def _classes_of(node: onnx.NodeProto) -> list[onnx.AttributeProto]:
    return [each for each in node.attribute if each.name in _CLASSES]


def _rename(graph: onnx.GraphProto, source: str, target: str) -> None:
    for node in graph.node:
        node.input[:] = [target if name == source else name for name in node.input]
        node.output[:] = [target if name == source else name for name in node.output]
    for info in [each for each in graph.value_info if each.name == source]:
        graph.value_info.remove(info)
