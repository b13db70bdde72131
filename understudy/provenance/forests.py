"""Missing values in trees that skl2onnx has converted.

scikit-learn sends a missing value to the child that its training chose; skl2onnx 1.20 writes that it
always goes to the right one, so that ONNX Runtime and scikit-learn disagree on rows with NaN.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from understudy.domain.errors import InvalidInputError

PRODUCER = "skl2onnx"
_TRACKS_TRUE = "nodes_missing_value_tracks_true"


def sends_missing_right(model: onnx.ModelProto) -> bool:
    """Return whether trees of skl2onnx send each missing value to the right child."""
    trees = _trees_of(model)
    return (
        model.producer_name == PRODUCER
        and bool(trees)
        and not any(sum(_values(node, _TRACKS_TRUE)) for node in trees)
    )


def mend_missing(model_file: Path, estimator: Any) -> int:
    """Write into a converted model where its trees send missing values; return the nodes changed.

    Args:
        model_file: written by skl2onnx from `estimator`; rewritten in place.
        estimator: a fitted tree or forest of scikit-learn.

    Raises:
        InvalidInputError: the trees of the file are not those of the estimator.
    """
    model = onnx.load(model_file)
    trees = [each.tree_ for each in getattr(estimator, "estimators_", [estimator])]
    nodes = _trees_of(model)
    count = sum(tree.node_count for tree in trees)
    if len(nodes) != 1 or len(_values(nodes[0], "nodes_nodeids")) != count:
        read = f"{len(nodes)} ensembles, {[len(_values(n, 'nodes_nodeids')) for n in nodes]} nodes"
        raise InvalidInputError.of(
            str(model_file), read=read, accepted=f"one ensemble with the {count} nodes of estimator"
        )
    (node,) = nodes
    places = zip(_values(node, "nodes_treeids"), _values(node, "nodes_nodeids"), strict=True)
    is_branch = [mode != b"LEAF" for mode in _values(node, "nodes_modes")]
    tracks = [
        int(branches and bool(trees[tree].missing_go_to_left[at]))
        for (tree, at), branches in zip(places, is_branch, strict=True)
    ]
    kept = [each for each in node.attribute if each.name != _TRACKS_TRUE]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(_TRACKS_TRUE, tracks)])
    model_file.write_bytes(model.SerializeToString())
    return int(np.sum(tracks))


def _trees_of(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type.startswith("TreeEnsemble")]


def _values(node: onnx.NodeProto, name: str) -> list[Any]:
    found = (helper.get_attribute_value(each) for each in node.attribute if each.name == name)
    return list(next(found, ()))
