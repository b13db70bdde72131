"""Margins of any kind that hold, for properties."""

from hypothesis import strategies as st

from understudy.domain.margins import (
    NEEDS_THRESHOLD,
    NEITHER_IS_BETTER,
    Costs,
    Margins,
    Measure,
)

_SIZES = st.floats(1e-9, 1e9)
_FREE = sorted(set(Measure) - NEEDS_THRESHOLD)


def margins_of(measures: list[Measure]) -> st.SearchStrategy[Margins]:
    """Return margins of some of `measures`."""
    primaries = [measure for measure in measures if measure not in NEITHER_IS_BETTER]
    guards = st.dictionaries(st.sampled_from(measures), _SIZES, max_size=4)
    costs = st.builds(Costs, _SIZES, st.floats(0, 1e9))

    def built(primary: Measure, size: float, others: dict[Measure, float], cost: Costs) -> Margins:
        sizes = {**others, primary: size}
        return Margins.of_sizes(primary, sizes, cost if Measure.COST in sizes else None)

    return st.builds(built, st.sampled_from(primaries), _SIZES, guards, costs)


MARGINS = margins_of(list(Measure))
MARGINS_WITHOUT_THRESHOLD = margins_of(_FREE)
