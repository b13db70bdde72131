"""Conversion of an Arrow batch to packed records, with a reason for each unusable row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.features import FeatureView
from understudy.features.decisions.arrow_columns import shown
from understudy.features.decisions.column_values import ColumnValues, column_values
from understudy.features.decisions.entity_ids import id_texts
from understudy.features.decisions.entity_keys import accepted_id
from understudy.features.decisions.event_times import ACCEPTED_TIME, not_future, times_of
from understudy.features.decisions.ingestion_times import with_ingestion_time
from understudy.features.decisions.record_format import pack_columns, record_format
from understudy.features.decisions.refused_record import RefusedRecord


@dataclass(frozen=True, slots=True)
class RowColumns:
    """The columns of a row besides its features."""

    entity: str
    event_times: str | int = "event_time"  # a column, or one time for all rows in UTC ms
    created_times: str | None = None  # when a row's values were created; breaks ties
    ingestion_times: str | None = None  # when a store got the row; unknown if there is no such time

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that a file must have."""
        times = (each for each in (self.event_times, self.created_times) if isinstance(each, str))
        return tuple(dict.fromkeys((self.entity, *times)))


@dataclass(frozen=True, slots=True)
class Reject:
    """A value because of which its row is not stored."""

    row: int  # in the file, counted from 0
    column: str
    read: str
    accepted: str


@dataclass(frozen=True, slots=True)
class PackedRows:
    records: list[tuple[str, bytes]]  # entity id, packed record
    rows: list[int]  # row in the file of each record
    rejects: list[Reject]
    rejected_rows: int
    has_future: bool = False  # a rejected row may be accepted later


def ingested(
    view: FeatureView, records: Sequence[tuple[str, bytes]], at_ms: int
) -> list[tuple[str, bytes]]:
    """Return the records with the time at which they are written, UTC ms since 1970."""
    form = record_format(view)
    return [(entity_id, with_ingestion_time(form, each, at_ms)) for entity_id, each in records]


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
    created_ms: npt.NDArray[np.int64]  # UTC; 0 if unknown
    ingested_ms: npt.NDArray[np.int64]  # UTC; 0 if unknown
    columns: Sequence[ColumnValues]  # per feature
    kept: npt.NDArray[np.bool_]
    rejects: list[Reject]
    has_future: bool


def check_rows(
    view: FeatureView,
    batch: pa.RecordBatch,
    *,
    columns: RowColumns,
    row_numbers: npt.NDArray[np.int64],
    latest_ms: int | None = None,
) -> CheckedRows:
    """Read the rows of a batch; a row with any unusable value is dropped.

    Args:
        view: the batch has a column for each feature of this view.
        batch: n rows.
        columns: the names of the other columns.
        row_numbers: shape (n,), the row in the file of each row, for rejects.
        latest_ms: the latest time that a row may have, UTC ms; None for no limit.
    """
    rejects = _Rejects(row_numbers)
    ids = id_texts(batch.column(columns.entity), view.key)
    is_no_id = np.fromiter((each is None for each in ids), dtype=np.bool_, count=len(ids))
    rejects.add(columns.entity, batch, is_no_id, accepted_id(view.key))
    if isinstance(columns.event_times, int):
        times_ms = np.full(len(batch), columns.event_times, dtype=np.int64)
    else:
        times_ms = _times_ms(batch, columns.event_times, rejects, latest_ms)
    created_ms = np.zeros(len(batch), dtype=np.int64)
    if columns.created_times is not None:
        created_ms = _times_ms(batch, columns.created_times, rejects, latest_ms)
    values = [column_values(feature, batch.column(feature.name)) for feature in view.features]
    for feature, each in zip(view.features, values, strict=True):
        rejects.add(feature.name, batch, each.unusable, each.accepted)
    texts = [each or "" for each in ids]
    return CheckedRows(
        texts,
        times_ms,
        created_ms,
        _ingested_ms(batch, columns),
        values,
        ~rejects.rejected,
        rejects.found,
        has_future=latest_ms is not None
        and bool((np.maximum(times_ms, created_ms) > latest_ms).any()),
    )


def pack_rows(
    view: FeatureView,
    batch: pa.RecordBatch,
    *,
    columns: RowColumns,
    row_numbers: npt.NDArray[np.int64],
    latest_ms: int | None = None,
) -> PackedRows:
    """Pack the rows of a batch (see `check_rows`); dropped rows have no record."""
    checked = check_rows(view, batch, columns=columns, row_numbers=row_numbers, latest_ms=latest_ms)
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
        checked.created_ms,
        checked.ingested_ms,
    )
    keep = checked.kept.tolist()
    records = [(i, r) for i, r, kept in zip(checked.ids, packed, keep, strict=True) if kept]
    rows = row_numbers[checked.kept].tolist()
    return PackedRows(
        records, rows, checked.rejects, len(packed) - len(records), checked.has_future
    )


def _ingested_ms(batch: pa.RecordBatch, columns: RowColumns) -> npt.NDArray[np.int64]:
    """Return the ingestion times. A fact about the row and no value of it: none is a reject."""
    if columns.ingestion_times is None:
        return np.zeros(len(batch), dtype=np.int64)
    return times_of(batch.column(columns.ingestion_times)).ms


class _Rejects:
    def __init__(self, row_numbers: npt.NDArray[np.int64]) -> None:
        self.found: list[Reject] = []
        self.rejected = np.zeros(len(row_numbers), dtype=np.bool_)
        self._row_numbers = row_numbers

    def add(
        self, name: str, batch: pa.RecordBatch, unusable: npt.NDArray[np.bool_], accepted: str
    ) -> None:
        self.rejected |= unusable
        for row in np.flatnonzero(unusable).tolist():
            read = shown(batch.column(name), row)
            self.found.append(Reject(int(self._row_numbers[row]), name, read, accepted))


def _times_ms(
    batch: pa.RecordBatch, name: str, rejects: _Rejects, latest_ms: int | None
) -> npt.NDArray[np.int64]:
    times = times_of(batch.column(name))
    rejects.add(name, batch, times.unusable, ACCEPTED_TIME)
    if latest_ms is not None:
        rejects.add(name, batch, times.ms > latest_ms, not_future(latest_ms))
    return times.ms
