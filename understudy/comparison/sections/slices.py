"""Slices: where two versions differ, declared columns and those that a search adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np

from understudy.comparison.decisions.slicing import (
    Codes,
    declared_slices,
    slices_of_pairs,
    slices_of_scores,
)
from understudy.comparison.evidence.rows import PairedRows, RowsOfUnits
from understudy.statistics.slices import SliceFindings, find_differences, paired_difference
from understudy.statistics.units import units_of

RowsT = TypeVar("RowsT", bound=RowsOfUnits)


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """The differences on slices; losses if there are outcomes, and scores otherwise."""

    measure: str
    is_loss: bool  # a positive difference is worse
    declared: SliceFindings
    found: SliceFindings


def compare_slices(
    rows: PairedRows, columns: Mapping[str, Codes], *, confidence: float
) -> SliceComparison | None:
    """Return the differences by slice; None without columns or with fewer than two pairs."""
    if not columns or rows.champion.size < 2:  # noqa: PLR2004 - pairs
        return None
    part, codes, has_outcomes = with_outcomes(rows, columns)
    if has_outcomes:
        measure = "squared error (Brier), shadow - answered"
        differences = (part.shadow - part.label) ** 2 - (part.champion - part.label) ** 2
    else:
        measure = "score, shadow - answered, against the other rows"
        differences = part.shadow - part.champion
    of_slice = paired_difference(differences, units_of(part.unit), is_against_rest=not has_outcomes)
    searched = chain(slices_of_scores((part.champion, part.shadow)), slices_of_pairs(codes))
    return SliceComparison(
        measure,
        has_outcomes,
        declared=find_differences(declared_slices(codes), of_slice, confidence=confidence),
        found=find_differences(searched, of_slice, confidence=confidence),
    )


def with_outcomes(
    rows: RowsT, columns: Mapping[str, Codes]
) -> tuple[RowsT, Mapping[str, Codes], bool]:
    """Return the rows with outcomes and their columns, or all rows if none has one: False."""
    labelled = ~np.isnan(rows.label)
    if not labelled.any() or labelled.all():
        return rows, columns, bool(labelled.any())
    codes = {name: (places[labelled], names) for name, (places, names) in columns.items()}
    return rows.labelled(), codes, True
