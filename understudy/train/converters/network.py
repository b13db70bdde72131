"""Conversion of PyTorch's networks by PyTorch itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureDtype
from understudy.train.converters.target import INPUT, Target, refuse_texts
from understudy.train.parity import Predict
from understudy.train.rows import Columns, read_rows

OUTPUT = "score"
_OPSET = 18
_SAMPLE_ROWS = 2  # one row would let the exporter take its size for a constant


def convert(
    model: Any, target: Target, inputs: Mapping[str, Sequence[str]] | None, model_file: Path
) -> None:
    """Write a network as ONNX: an input of shape (n, columns) per argument, rows open.

    Args:
        model: takes tensors of shape (n, columns) and returns scores of shape (n,) or (n, k).
        target: the feature set.
        inputs: names of features by name of the argument, in the order of the arguments; int64 if
            all its features are, otherwise float32. None: one argument with all features.
        model_file: written.

    Raises:
        InvalidInputError: the network cannot be exported, or an input has no such feature.
    """
    refuse_texts(target, "PyTorch")
    import torch  # noqa: PLC0415 - an extra: the network of the caller has imported it

    blank = tuple(np.zeros(_SAMPLE_ROWS) for _ in target.features)
    arguments = _arguments(blank, target, inputs)
    rows = torch.export.Dim("rows")
    was_training = model.training
    model.eval()  # dropout and the statistics of batches are for the training
    try:
        torch.onnx.export(
            model,
            tuple(arguments.values()),
            str(model_file),
            input_names=list(arguments),
            output_names=[OUTPUT],
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            dynamic_shapes=tuple({0: rows} for _ in arguments),
            verbose=False,
        )
    except Exception as error:  # the exporter raises its own types, and those of the network
        reason = " ".join(str(error).split())[:300]
        read = f"{type(error).__name__}: {reason}"
        accepted = "a network that torch.onnx.export converts (it needs the package onnxscript)"
        raise InvalidInputError.of("model", read=read, accepted=accepted) from error
    finally:
        model.train(was_training)


def predict_of(
    model: Any, target: Target, inputs: Mapping[str, Sequence[str]] | None, column: int
) -> Predict:
    """Return the network's own scores as a function of rows in the author's form."""
    import torch  # noqa: PLC0415 - as above

    def predict(x: Any) -> Any:
        columns = read_rows(x, target.features, "rows").columns
        was_training = model.training
        model.eval()
        with torch.no_grad():
            answers = model(*_arguments(columns, target, inputs).values()).double().numpy()
        model.train(was_training)
        return answers if answers.ndim == 1 else answers[:, column]

    return predict


def _arguments(
    columns: Columns, target: Target, inputs: Mapping[str, Sequence[str]] | None
) -> dict[str, Any]:
    import torch  # noqa: PLC0415 - as above

    names = [feature.name for feature in target.features]
    made = {}
    for argument, wanted in (inputs or {INPUT: names}).items():
        if strange := sorted(set(wanted) - set(names)):
            raise InvalidInputError.of(
                f"inputs.{argument}", read=", ".join(strange), accepted=f"features: {names}"
            )
        places = [names.index(name) for name in wanted]
        is_whole = all(target.features[at].dtype is FeatureDtype.INT64 for at in places)
        matrix = np.column_stack([columns[at] for at in places])
        made[argument] = torch.as_tensor(matrix.astype(np.int64 if is_whole else np.float32))
    return made
