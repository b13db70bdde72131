"""The names of the entities and features that requests brought, as texts of the score log."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SentNames = tuple[str, ...]  # of one row
_SEPARATOR = ","  # in no name of an entity or feature


def written_names(columns: Sequence[Sequence[SentNames] | None], rows: NDArray[np.int64]) -> Any:
    """Return one text per row: the names in their order, "" for none, null if they are not known.

    Args:
        columns: the names of the rows of each batch; None: not known.
        rows: number of rows of each batch.
    """
    texts: dict[SentNames, str] = {}  # callers send few different sets
    written: list[str | None] = []
    for column, count in zip(columns, rows.tolist(), strict=True):
        if column is None:
            written += [None] * count
        elif count and column.count(column[0]) == count:  # as those of the candidates of a call
            written += [_text_of(column[0], texts)] * count
        else:
            written += [_text_of(names, texts) for names in column]
    return pa.array(written, pa.string())


def _text_of(names: SentNames, texts: dict[SentNames, str]) -> str:
    text = texts.get(names)
    if text is None:
        text = texts[names] = _SEPARATOR.join(sorted({*names}))
    return text


def names_in(text: str) -> frozenset[str]:
    """Return the names in a text of `written_names`."""
    return frozenset(text.split(_SEPARATOR)) if text else frozenset()
