"""The kinds of models by their answers, and the place of the score in a converted model. Pure."""

from collections.abc import Sequence
from enum import StrEnum

from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import ScoreOutput, TensorSpec

_FLOATS = frozenset(("FP32", "FP64", "FP16"))
_TWO = 2  # classes of a binary model; dimensions of an output of several columns


class ModelKind(StrEnum):
    BINARY = "binary"  # the score is the probability of class 1
    MULTICLASS = "multiclass"  # the score is the probability of one class
    REGRESSION = "regression"
    RANKING = "ranking"


def kind_of_classes(classes: int) -> ModelKind:
    """Return the kind of a classifier of so many classes."""
    return ModelKind.BINARY if classes == _TWO else ModelKind.MULTICLASS


def score_output_of(
    outputs: Sequence[TensorSpec], kind: ModelKind, score_class: int | None
) -> ScoreOutput:
    """Return the output and column of the score, as the exporters write models of this kind.

    Args:
        outputs: of the converted model.
        kind: of the model.
        score_class: column of the class whose probability is the score; needed for several classes.

    Raises:
        InvalidInputError: several outputs may be the score, or none, or the class is not named.
    """
    wide = [each for each in outputs if each.datatype in _FLOATS]
    if kind in {ModelKind.BINARY, ModelKind.MULTICLASS}:
        named = [each for each in wide if "prob" in each.name.casefold()]
        wide = named or wide
    if len(wide) != 1:
        shown = [f"{each.name} {each.datatype}{list(each.shape)}" for each in outputs]
        raise InvalidInputError.of("score", read=f"outputs {shown}", accepted="OUTPUT:COLUMN")
    (output,) = wide
    if kind is ModelKind.MULTICLASS and score_class is None:
        raise InvalidInputError.of(
            "score_class", read="None for several classes", accepted="the column of the score"
        )
    if score_class is not None:
        return ScoreOutput(output.name, score_class)
    has_both = len(output.shape) == _TWO and output.shape[1] != 1
    return ScoreOutput(output.name, 1 if kind is ModelKind.BINARY and has_both else 0)
