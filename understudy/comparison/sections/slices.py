"""Slices: where the two versions differ, declared columns and those that a search adds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from understudy.comparison.decisions.slicing import Codes, declared_slices, found_slices
from understudy.comparison.evidence.rows import PairedRows
from understudy.statistics.slices import SliceFindings, find_differences
from understudy.statistics.units import units_of


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
    labelled = ~np.isnan(rows.label)
    has_outcomes = bool(labelled.any())
    part, codes = rows, columns
    if has_outcomes and not labelled.all():
        part = rows.labelled()
        codes = {name: (places[labelled], names) for name, (places, names) in columns.items()}
    if has_outcomes:
        measure = "squared error (Brier), shadow - answered"
        differences = (part.shadow - part.label) ** 2 - (part.champion - part.label) ** 2
    else:
        measure = "score, shadow - answered, against the other rows"
        differences = part.shadow - part.champion
    units = units_of(part.unit)
    declared, found = (
        find_differences(
            slices, differences, units, is_against_rest=not has_outcomes, confidence=confidence
        )
        for slices in (declared_slices(codes), found_slices(codes, (part.champion, part.shadow)))
    )
    return SliceComparison(measure, has_outcomes, declared, found)
