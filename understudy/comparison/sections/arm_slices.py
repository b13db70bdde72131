"""Slices of live arms: where challenger and champion differ, declared columns and pairs of them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from understudy.comparison.decisions.slicing import Codes, declared_slices, slices_of_pairs
from understudy.comparison.evidence.arm_rows import AssignedRows
from understudy.comparison.sections.arm_measures import (
    WEIGHT,
    Asked,
    Total,
    centre_of,
    estimated,
    per,
)
from understudy.comparison.sections.slices import SliceComparison, with_outcomes
from understudy.statistics.slices import OfSlice, find_differences, inside_minus_rest
from understudy.statistics.units import FEW_EFFECTIVE_UNITS, Estimate, Floats


def compare_arm_slices(
    rows: AssignedRows, columns: Mapping[str, Codes], *, confidence: float
) -> SliceComparison | None:
    """Return the differences of the arms by slice; None without columns or rows.

    A search adds pairs of columns, and no fifths of scores as of pairs: an arm's own score chooses
    other rows in each arm.
    """
    if not columns or rows.score.size == 0:
        return None
    part, codes, has_outcomes = with_outcomes(rows, columns)
    if has_outcomes:
        measure, values = "squared error (Brier)", (part.score - part.label) ** 2
        told = f"{measure}, challenger - champion"
    else:
        told = "score, challenger - champion, against the other rows"
        values = part.score - centre_of(part.score)
    of_slice = _difference(part, values, is_against_rest=not has_outcomes)
    return SliceComparison(
        told,
        has_outcomes,
        declared=find_differences(declared_slices(codes), of_slice, confidence=confidence),
        found=find_differences(slices_of_pairs(codes), of_slice, confidence=confidence),
    )


def _difference(rows: AssignedRows, values: Floats, *, is_against_rest: bool) -> OfSlice:
    """Return the difference of both arms' means on a slice, of independent units."""

    def of_slice(chosen: NDArray[np.bool_]) -> Estimate:
        columns = {
            "inside": lambda part: chosen[part],
            "value inside": lambda part: chosen[part] * values[part],
            "value": lambda part: values[part],
        }
        (found,) = estimated(rows, columns, [_AGAINST_REST if is_against_rest else _INSIDE])
        least = min(found.champion.effective_units, found.challenger.effective_units)
        if least < FEW_EFFECTIVE_UNITS:  # Welch's degrees of freedom are of both arms
            return replace(found.difference, variance=None, why="an arm has few units in it")
        return found.difference

    return of_slice


def _against_rest(total: Total) -> Floats:
    return inside_minus_rest(total(WEIGHT), total("inside"), total("value inside"), total("value"))


_INSIDE = Asked("slice", per("value inside", "inside"), over="inside")
_AGAINST_REST = Asked("slice", _against_rest, over="inside", moved_by=WEIGHT)
