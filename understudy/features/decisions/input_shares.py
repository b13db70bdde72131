"""The division of a feature set among several inputs of a model, never by position alone.

1. A column whose input is declared goes there.
2. An input of one column takes the feature of its own name.
3. An input of several columns has no feature's name. It takes columns in the order of the feature
   set if no others are possible: it is the last input, or its datatype fits exactly as many columns
   as it has.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from understudy.domain.errors import Fault
from understudy.domain.features import FeatureDtype, FeatureRef
from understudy.features.decisions.feature_columns import places_by_name, shortened

_FIELD = "features.columns"


@dataclass(frozen=True, slots=True)
class Share:
    """An input, with its claims on columns."""

    input_name: str
    width: int | None  # number of columns; None: any
    held: AbstractSet[FeatureDtype]  # dtypes that it can hold


@dataclass(frozen=True, slots=True)
class Shares:
    places: tuple[tuple[int, ...], ...]  # per input: indices into the feature set, in its order


def share_columns(
    inputs: Sequence[Share],
    refs: Sequence[FeatureRef],
    dtypes: Sequence[FeatureDtype],
    declared: Sequence[str],
) -> Shares | tuple[Fault, ...]:
    """Return the columns of each input, or the faults if they cannot be known.

    Args:
        inputs: in the model's order.
        refs: the feature set.
        dtypes: one per ref.
        declared: name of the input of each column, "" where none is declared; empty if none is.
    """
    if faults := tuple(_unknown_inputs(inputs, declared)):
        return faults
    left = dict(enumerate(dtypes))
    taken = {name: _take(left, _declared_places(name, declared)) for name in _named(declared)}
    by_name = places_by_name(refs)
    for each in inputs:
        place = by_name.get(each.input_name, -1)
        if each.input_name not in taken and each.width == 1 and place in left and len(inputs) > 1:
            taken[each.input_name] = _take(left, (place,))
    _take_the_only_possible(inputs, left, taken)
    if faults := tuple(_faults(inputs, refs, left, taken)):
        return faults
    return Shares(tuple(taken[each.input_name] for each in inputs))


def _take_the_only_possible(
    inputs: Sequence[Share], left: dict[int, FeatureDtype], taken: dict[str, tuple[int, ...]]
) -> None:
    """Give inputs the columns that no other division could give them, until there are none."""
    while waiting := [each for each in inputs if each.input_name not in taken]:
        if len(waiting) == 1 and (len(inputs) == 1 or waiting[0].width != 1):
            taken[waiting[0].input_name] = _take(left, tuple(left))
            return
        for each in waiting:
            fitting = tuple(place for place, dtype in left.items() if dtype in each.held)
            if each.width not in {None, 1} and len(fitting) == each.width:
                taken[each.input_name] = _take(left, fitting)
                break
        else:
            return


def _take(left: dict[int, FeatureDtype], places: tuple[int, ...]) -> tuple[int, ...]:
    for place in places:
        left.pop(place)
    return places


def _named(declared: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(declared) if name]


def _declared_places(name: str, declared: Sequence[str]) -> tuple[int, ...]:
    return tuple(place for place, each in enumerate(declared) if each == name)


def _unknown_inputs(inputs: Sequence[Share], declared: Sequence[str]) -> Iterator[Fault]:
    known = [each.input_name for each in inputs]
    for place, name in enumerate(declared):
        if name and name not in known:
            yield Fault(f"{_FIELD}[{place}].input", name, f"one of {known}")


def _faults(
    inputs: Sequence[Share],
    refs: Sequence[FeatureRef],
    left: dict[int, FeatureDtype],
    taken: dict[str, tuple[int, ...]],
) -> Iterator[Fault]:
    open_names = [each.input_name for each in inputs if each.input_name not in taken]
    for name in open_names:
        accepted = f"{_FIELD}[].input {name!r} for each column that it reads"
        yield Fault(f"model inputs {name!r}", "no feature of this name", accepted)
    if open_names:
        return
    for each in inputs:
        found = len(taken[each.input_name])
        if found != each.width and not (each.width is None and found):
            accepted = f"{each.width or 'at least 1'}, the columns of input {each.input_name!r}"
            yield Fault(_FIELD, f"{found} columns", accepted)
    if left:
        names = shortened([refs[place].feature for place in left])
        yield Fault(_FIELD, f"{names} in no input", "each feature in one column of one input")
