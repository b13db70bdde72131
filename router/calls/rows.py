"""The rows of a batch of calls: a call has one, or one per candidate, and they are consecutive."""

from collections.abc import Sequence
from itertools import accumulate, repeat
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from router.calls.call import Call

ValueT = TypeVar("ValueT")


def are_single(calls: Sequence[Call]) -> bool:
    """Return whether each call is one row."""
    return [call.candidates for call in calls].count(None) == len(calls)


def starts_of(calls: Sequence[Call]) -> list[int]:
    """Return the first row of each call."""
    return list(accumulate((call.rows for call in calls[:-1]), initial=0))


def calls_at(calls: Sequence[Call], kept: NDArray[np.bool_]) -> list[Call]:
    """Return the calls whose rows are marked; rows of one call share their mark."""
    return [call for call, at in zip(calls, starts_of(calls), strict=True) if kept[at]]


def whole_calls(calls: Sequence[Call], marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the marks of those calls in which all rows are marked; shape (n,)."""
    of_works = np.logical_and.reduceat(marked, starts_of(calls))
    return np.repeat(of_works, [call.rows for call in calls])


def per_row(values: Sequence[ValueT], calls: Sequence[Call]) -> list[ValueT]:
    """Return for each row the value of its call."""
    rows: list[ValueT] = []
    for value, call in zip(values, calls, strict=True):
        if call.candidates is None:
            rows.append(value)
        else:
            rows += repeat(value, call.rows)
    return rows


def sent_entities_of(calls: Sequence[Call]) -> list[tuple[str, ...]]:
    """Return the entity types that the request of each row has."""
    if are_single(calls):
        return [tuple(call.entities) for call in calls]
    rows: list[tuple[str, ...]] = []
    for call in calls:
        if call.candidates is None:
            rows.append(tuple(call.entities))
        else:
            rows += repeat((*call.entities, call.candidates.entity), call.rows)
    return rows


def sent_features_of(calls: Sequence[Call]) -> list[tuple[str, ...]]:
    """Return the names of the features that the request of each row supplies."""
    if are_single(calls):
        return [tuple(call.features) if call.features else () for call in calls]
    rows: list[tuple[str, ...]] = []
    for call in calls:
        shared = tuple(call.features) if call.features else ()
        own = None if call.candidates is None else call.candidates.features
        if own is None:
            rows += repeat(shared, call.rows)
        else:
            rows += [(*shared, *each) if each else shared for each in own]
    return rows


def trace_ids_of(calls: Sequence[Call]) -> list[str] | None:
    """Return the trace of the caller of each row, "" for none; None if no caller sent one."""
    if [call.trace for call in calls].count(None) == len(calls):
        return None
    return per_row(["" if call.trace is None else call.trace.trace_id for call in calls], calls)


def candidate_ids_of(calls: Sequence[Call]) -> list[str] | None:
    """Return the candidate id of each row ("" for single units); None if there are none."""
    if are_single(calls):
        return None
    rows: list[str] = []
    for call in calls:
        rows += [""] if call.candidates is None else call.candidates.ids
    return rows
