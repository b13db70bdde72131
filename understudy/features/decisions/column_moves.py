"""The plan that copies slices of a batch of records into columns of a model's tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.domain.features import FeatureDtype, FeatureView
from understudy.features.decisions.record_format import record_format
from understudy.features.decisions.tensor_columns import TensorColumns

Columns = slice | list[int]


@dataclass(frozen=True, slots=True)
class Source:
    """The position of a stored feature among the views read."""

    view: int  # index among the views read
    feature: int  # index in the view


@dataclass(frozen=True, slots=True)
class Target:
    """The position of a feature in the tensors."""

    tensor: int
    column: int


@dataclass(frozen=True, slots=True)
class BlockMove:
    """A copy of columns from one block of a view's records into one tensor."""

    view: int
    block: str  # of the record format
    dtype: FeatureDtype
    source: Columns
    tensor: int
    target: Columns


@dataclass(frozen=True, slots=True)
class TextMove:
    view: int
    string: int  # index among the view's string features
    tensor: int
    column: int


def targets_of(tensors: Sequence[TensorColumns]) -> list[Target]:
    """Return the target of each column of a feature set."""
    at = {
        place: Target(number, column)
        for number, tensor in enumerate(tensors)
        for column, place in enumerate(tensor.places)
    }
    return [at[place] for place in range(len(at))]


def plan_moves(
    views: Sequence[FeatureView], sources: Sequence[Source], targets: Sequence[Target]
) -> tuple[tuple[BlockMove, ...], tuple[TextMove, ...]]:
    """Return the smallest number of copies that bring each source to its target."""
    formats = [record_format(view) for view in views]
    texts: list[TextMove] = []
    groups: dict[tuple[int, FeatureDtype, int], list[tuple[int, int]]] = {}
    for source, target in zip(sources, targets, strict=True):
        form = formats[source.view]
        dtype = form.dtypes[source.feature]
        column = form.block_columns[source.feature]
        if dtype is FeatureDtype.STRING:
            texts.append(TextMove(source.view, column, target.tensor, target.column))
        else:
            pairs = groups.setdefault((source.view, dtype, target.tensor), [])
            pairs.append((column, target.column))
    blocks = [
        BlockMove(
            view,
            dtype.value,
            dtype,
            _columns([c for c, _ in pairs]),
            tensor,
            _columns([t for _, t in pairs]),
        )
        for (view, dtype, tensor), pairs in groups.items()
    ]
    return tuple(blocks), tuple(texts)


def may_overflow(moves: Sequence[BlockMove], datatypes: Sequence[str]) -> bool:
    """Return whether a copy can encounter a number that its tensor cannot hold."""
    return any(
        datatypes[move.tensor] == "FP16"
        or (move.dtype is FeatureDtype.FLOAT64 and datatypes[move.tensor] == "FP32")
        for move in moves
    )


def _columns(places: list[int]) -> Columns:
    first = places[0]
    if places == list(range(first, first + len(places))):
        return slice(first, first + len(places))
    return places
