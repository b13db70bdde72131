"""Conversion of an Arrow batch to packed records, with a reason for each unusable row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.features import FeatureView
from understudy.features.decisions.column_values import ColumnValues, column_values
from understudy.features.decisions.entity_ids import is_storable_id
from understudy.features.decisions.record_format import pack_columns, record_format

_LONGEST_ID_BYTES = 4096
_ACCEPTED_ID = f"text of 1 to {_LONGEST_ID_BYTES} bytes without NUL, or a number"
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Reject:
    """A value because of which its row is not stored."""

    row: int  # in the file, counted from 0
    column: str
    read: str
    accepted: str


@dataclass(frozen=True, slots=True)
class RefusedRecord:
    """A record that the store can never hold, however often it is retried."""

    place: int  # index among the records of the write
    read: str
    accepted: str


@dataclass(frozen=True, slots=True)
class PackedRows:
    records: list[tuple[str, bytes]]  # entity id, packed record
    rows: list[int]  # row in the file of each record
    rejects: list[Reject]
    rejected_rows: int


def rejects_of(packed: PackedRows, refused: Sequence[RefusedRecord]) -> list[Reject]:
    """Return the records that a store refused, as rejects with rows of the file."""
    return [
        Reject(packed.rows[each.place], "(record)", each.read, each.accepted) for each in refused
    ]


@dataclass(frozen=True, slots=True, eq=False)
class CheckedRows:
    """The values of n rows, and a mask of usable rows."""

    ids: Sequence[str]
    times_ms: npt.NDArray[np.int64]  # UTC
    columns: Sequence[ColumnValues]  # per feature
    kept: npt.NDArray[np.bool_]
    rejects: list[Reject]


def check_rows(
    view: FeatureView,
    batch: pa.RecordBatch,
    *,
    entity_column: str,
    event_times: str | int,
    row_numbers: npt.NDArray[np.int64],
) -> CheckedRows:
    """Read the rows of a batch; a row with any unusable value is dropped.

    Args:
        view: the batch has a column for each feature of this view.
        batch: n rows.
        entity_column: the column of entity ids, as text or integers.
        event_times: the column of event times, or one event time for all rows in UTC ms.
        row_numbers: shape (n,), the row in the file of each row, for rejects.
    """
    rejects = _Rejects(row_numbers)
    ids = _entity_ids(batch.column(entity_column), entity_column, rejects)
    if isinstance(event_times, int):
        times_ms = np.full(len(batch), event_times, dtype=np.int64)
    else:
        times_ms = _event_times_ms(batch.column(event_times), event_times, rejects)
    columns = [column_values(feature, batch.column(feature.name)) for feature in view.features]
    for feature, column in zip(view.features, columns, strict=True):
        if column.unusable.any():
            rejects.add(feature.name, batch.column(feature.name), column.unusable, column.accepted)
    return CheckedRows(ids, times_ms, columns, ~rejects.rejected, rejects.found)


def pack_rows(
    view: FeatureView,
    batch: pa.RecordBatch,
    *,
    entity_column: str,
    event_times: str | int,
    row_numbers: npt.NDArray[np.int64],
) -> PackedRows:
    """Pack the rows of a batch (see `check_rows`); dropped rows have no record."""
    checked = check_rows(
        view,
        batch,
        entity_column=entity_column,
        event_times=event_times,
        row_numbers=row_numbers,
    )
    return packed_of(view, checked, row_numbers)


def packed_of(
    view: FeatureView, checked: CheckedRows, row_numbers: npt.NDArray[np.int64]
) -> PackedRows:
    """Return the records of the rows to keep."""
    packed = pack_columns(
        record_format(view),
        [column.values for column in checked.columns],
        np.column_stack([column.present for column in checked.columns]),
        checked.times_ms,
    )
    keep = checked.kept.tolist()
    records = [(i, r) for i, r, kept in zip(checked.ids, packed, keep, strict=True) if kept]
    rows = row_numbers[checked.kept].tolist()
    return PackedRows(records, rows, checked.rejects, len(packed) - len(records))


def times_ms_of_texts(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return times in UTC ms as loading parses them; null where loading rejects the row."""
    return _parsed_times(column)[0].cast(pa.int64())


class _Rejects:
    def __init__(self, row_numbers: npt.NDArray[np.int64]) -> None:
        self.found: list[Reject] = []
        self.rejected = np.zeros(len(row_numbers), dtype=np.bool_)
        self._row_numbers = row_numbers

    def add(
        self, name: str, column: pa.Array, unusable: npt.NDArray[np.bool_], accepted: str
    ) -> None:
        self.rejected |= unusable
        for row in np.flatnonzero(unusable).tolist():
            read = str(column[row].as_py())[:_SHOWN_CHARACTERS]
            self.found.append(Reject(int(self._row_numbers[row]), name, read, accepted))


def _entity_ids(column: pa.Array, name: str, rejects: _Rejects) -> Sequence[str]:
    ids: list[Any] = column.to_pylist()
    unusable = np.fromiter((not _is_id(each) for each in ids), dtype=np.bool_, count=len(ids))
    if unusable.any():
        rejects.add(name, column, unusable, _ACCEPTED_ID)
    return [str(each) for each in ids]


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return is_storable_id(value) and 0 < len(value.encode()) <= _LONGEST_ID_BYTES
    return isinstance(value, int) and not isinstance(value, bool)


def _event_times_ms(column: pa.Array, name: str, rejects: _Rejects) -> npt.NDArray[np.int64]:
    unreadable = np.zeros(len(column), dtype=np.bool_)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column, unreadable = _parsed_times(column)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        rejects.add(name, column, np.ones(len(column), dtype=np.bool_), "a timestamp")
        return np.zeros(len(column), dtype=np.int64)
    unusable = ~column.is_valid().to_numpy(zero_copy_only=False) | unreadable
    if unusable.any():
        rejects.add(name, column, unusable, "a timestamp, e.g. 2026-11-21T01:00:00Z")
    times: npt.NDArray[np.int64] = (
        column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).fill_null(0).to_numpy()
    )
    return times


def _parsed_times(
    column: pa.Array | pa.ChunkedArray,
) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    parsed = [_parse_time(text) for text in column.to_pylist()]
    unreadable = np.array([each is None for each in parsed])
    return pa.array(parsed, pa.timestamp("ms", tz="UTC")), unreadable


def _parse_time(text: str | None) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
