"""Values of outcomes as a file has them: ids as text, labels as numbers, times; exact or refused.

Columns of Parquet and CSV files follow the rules by which features are loaded
(`understudy.features.decisions`), and values of JSON documents the same rules one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from understudy.domain.features import Feature, FeatureDtype
from understudy.features.decisions.arrow_columns import plain, shown
from understudy.features.decisions.column_values import column_values
from understudy.features.decisions.entity_ids import id_text, id_texts
from understudy.features.decisions.event_times import ACCEPTED_TIME, times_of
from understudy.features.decisions.number_texts import number_of
from understudy.features.decisions.row_values import Reject

MOST_ID_CHARACTERS = 256  # of a request id, as in requests
ACCEPTED_REQUEST_ID = f"text of 1 to {MOST_ID_CHARACTERS} characters, or a whole number"
ACCEPTED_LABEL = "a finite number, true or false"
_LABEL = Feature("label", FeatureDtype.FLOAT64)
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """Names of the columns in the file; `observed_at` is None for the time of the import."""

    request_id: str = "request_id"
    label: str = "label"
    observed_at: str | None = None

    @property
    def names(self) -> list[str]:
        return [
            each for each in (self.request_id, self.label, self.observed_at) if each is not None
        ]


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeValues:
    """The outcomes of consecutive rows. Values of unusable rows have no meaning."""

    request_ids: Sequence[str]
    labels: npt.NDArray[np.float64]
    observed_at_us: npt.NDArray[np.int64] | None  # UTC since 1970; None if no column was named
    unusable: tuple[Reject, ...]


def outcomes_of_columns(
    batch: pa.RecordBatch, columns: OutcomeColumns, row_numbers: Sequence[int]
) -> OutcomeValues:
    """Return the outcomes of a batch that has the named columns; its rows are `row_numbers`."""
    faults: list[Reject] = []

    def refuse(name: str, wrong: npt.NDArray[np.bool_], accepted: str) -> None:
        column = plain(batch.column(name))
        faults.extend(
            Reject(row_numbers[row], name, shown(column, row), accepted)
            for row in np.flatnonzero(wrong).tolist()
        )

    ids = [_request_id(each) for each in id_texts(batch.column(columns.request_id))]
    is_no_id = np.array([each is None for each in ids], dtype=np.bool_)
    refuse(columns.request_id, is_no_id, ACCEPTED_REQUEST_ID)
    found = column_values(_LABEL, _with_claims(plain(batch.column(columns.label))))
    refuse(columns.label, ~found.present, ACCEPTED_LABEL)
    observed_at_us = None
    if columns.observed_at is not None:
        times = times_of(batch.column(columns.observed_at))
        refuse(columns.observed_at, times.unusable, ACCEPTED_TIME)
        observed_at_us = times.us
    labels = np.asarray(found.values, dtype=np.float64)
    return OutcomeValues([each or "" for each in ids], labels, observed_at_us, tuple(faults))


def outcomes_of_documents(
    rows: Sequence[Mapping[str, Any]], columns: OutcomeColumns, *, first_row: int
) -> OutcomeValues:
    """Return the outcomes of JSON objects from `first_row` on; their fractions are `Decimal`s."""
    faults: list[Reject] = []

    def refuse(name: str, row: int, accepted: str) -> None:
        read = repr(rows[row].get(name))[:_SHOWN_CHARACTERS]
        faults.append(Reject(first_row + row, name, read, accepted))

    ids = [_request_id(id_text(row.get(columns.request_id))) for row in rows]
    labels = [_label_of(row.get(columns.label)) for row in rows]
    for row, (request_id, label) in enumerate(zip(ids, labels, strict=True)):
        if request_id is None:
            refuse(columns.request_id, row, ACCEPTED_REQUEST_ID)
        if label is None:
            refuse(columns.label, row, ACCEPTED_LABEL)
    observed_at_us = None
    if columns.observed_at is not None:
        given = [row.get(columns.observed_at) for row in rows]
        texts = [each if isinstance(each, str) and each.isascii() else None for each in given]
        times = times_of(pa.array(texts, pa.string()))
        for row in np.flatnonzero(times.unusable).tolist():
            refuse(columns.observed_at, row, ACCEPTED_TIME)
        observed_at_us = times.us
    numbers = np.array([0.0 if each is None else each for each in labels], dtype=np.float64)
    return OutcomeValues([each or "" for each in ids], numbers, observed_at_us, tuple(faults))


def _request_id(text: str | None) -> str | None:
    return text if text is not None and len(text) <= MOST_ID_CHARACTERS else None


def _with_claims(column: pa.Array) -> pa.Array:
    """Return texts with 1 and 0 in place of true and false; other columns unchanged."""
    if not pa.types.is_string(column.type):
        return column
    words = pc.utf8_lower(pc.utf8_trim(column, " "))
    denied = pc.if_else(pc.equal(words, "false"), "0", column)
    return pc.if_else(pc.equal(words, "true"), "1", denied)


def _label_of(value: Any) -> float | None:
    match value:
        case bool() | int() | Decimal():
            number: float | None = _as_float(value)
        case str():
            claims = {"true": 1.0, "false": 0.0}
            number = claims.get(value.strip(" ").lower(), number_of(value, FeatureDtype.FLOAT64))
        case _:
            number = None
    return number if number is not None and isfinite(number) else None


def _as_float(value: float | Decimal) -> float | None:
    try:
        return float(value)
    except OverflowError:  # of an integer; a decimal becomes infinite
        return None
