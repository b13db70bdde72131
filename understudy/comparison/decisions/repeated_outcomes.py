"""Outcomes of one file that repeat or contradict each other."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

OutcomeKey = tuple[str, int, float]  # request id, time of observation in UTC us, label


def is_first(outcomes: Sequence[OutcomeKey]) -> npt.NDArray[np.bool_]:
    """Return a mask of the outcomes that equal none before them, shape (n,)."""
    seen: set[OutcomeKey] = set()
    first = np.zeros(len(outcomes), dtype=np.bool_)
    for place, outcome in enumerate(outcomes):
        first[place] = outcome not in seen
        seen.add(outcome)
    return first


def conflicting_rows(outcomes: Sequence[OutcomeKey]) -> int:
    """Return the number of outcomes of which another one has the request and time, not the label."""
    labels: defaultdict[tuple[str, int], set[float]] = defaultdict(set)
    for request_id, at_us, label in outcomes:
        labels[request_id, at_us].add(label)
    return sum(len(labels[request_id, at_us]) > 1 for request_id, at_us, _ in outcomes)
