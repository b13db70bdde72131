"""One writer for the online store and the offline history, so that both hold the same values."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureDtype, FeatureView
from understudy.features.decisions.families import family_of
from understudy.features.decisions.row_values import (
    CheckedRows,
    Reject,
    RowColumns,
    check_rows,
    ingested,
    packed_of,
    rejects_of,
)
from understudy.features.decisions.view_rules import check_writable
from understudy.features.loading.history_files import INGESTION_TIME_COLUMN
from understudy.features.loading.load_features import (
    FUTURE_TOLERANCE_S,
    latest_time_ms,
    utc_now_ms,
)
from understudy.features.ports import FeatureWriter, WriteCounts

_ARROW_TYPES = {
    FeatureDtype.FLOAT32: pa.float32(),
    FeatureDtype.FLOAT64: pa.float64(),
    FeatureDtype.INT64: pa.int64(),
    FeatureDtype.BOOL: pa.bool_(),
    FeatureDtype.STRING: pa.string(),
}
_TIME_TYPE = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class WrittenThrough:
    """The outcome of a write, in counts of rows."""

    counts: WriteCounts
    rejects: tuple[Reject, ...]
    path: Path | None  # the history file; None if no row was usable


class WriteThrough:
    """Writes rows of one view first to Parquet files below `folder`, then to the online store."""

    def __init__(
        self,
        view: FeatureView,
        writer: FeatureWriter,
        folder: Path,
        *,
        family: str | None = None,
        entity_column: str | None = None,
        event_time_column: str = "event_time",
        created_time_column: str | None = None,
        ingestion_time_column: str = INGESTION_TIME_COLUMN,
        future_tolerance_s: float = FUTURE_TOLERANCE_S,
        now_ms: Callable[[], int] = utc_now_ms,
    ) -> None:
        """Write below `folder`; for the other arguments see `SourceFile` and `load_features`.

        `family` names the features that are written, in a view that has families; the others
        stay as they are. `ingestion_time_column` is a column of the history that rows do not have.

        Raises:
            InvalidInputError: another column has that name, another tool writes the records, or
                the view has no such family, or has families and none is named.
        """
        check_writable(view)
        view = family_of(view, family, field="family")
        self._view = view
        self._writer = writer
        self._folder = folder / f"view={view.definition}" / view.family
        self._columns = RowColumns(
            entity_column or view.entity, event_time_column, created_time_column
        )
        self._ingestion_time_column = ingestion_time_column
        self._future_tolerance_s = future_tolerance_s
        self._now_ms = now_ms
        if ingestion_time_column in self._names:
            raise InvalidInputError.of(
                "ingestion_time_column", read=ingestion_time_column, accepted="a name of its own"
            )

    @property
    def _names(self) -> list[str]:
        return [*self._columns.names, *(feature.name for feature in self._view.features)]

    def write(self, rows: pa.Table) -> WrittenThrough:
        """Write the usable rows, history first, so that every served value is in the history.

        Repeating a failed write is harmless: store and history keep one of several equal records.

        Raises:
            InvalidInputError: a column is missing or duplicated.
            UnavailableError: the store did not accept the rows; the history has them.
        """
        names = self._names
        if wrong := [name for name in names if rows.column_names.count(name) != 1]:
            raise InvalidInputError.of(
                "rows", read=", ".join(rows.column_names), accepted=f"{', '.join(wrong)}, once each"
            )
        batches = rows.select(names).combine_chunks().to_batches()
        if not batches:
            return WrittenThrough(WriteCounts(0, 0), (), None)
        row_numbers = np.arange(len(rows))
        now_ms = self._now_ms()
        checked = check_rows(
            self._view,
            batches[0],
            columns=self._columns,
            row_numbers=row_numbers,
            latest_ms=latest_time_ms(now_ms, self._future_tolerance_s),
        )
        usable = self._table_of(checked, now_ms)
        path = self._write_history(usable) if len(usable) else None
        packed = packed_of(self._view, checked, row_numbers)
        records = ingested(self._view, packed.records, now_ms)
        counts = self._writer.write(self._view, records, mark=None)
        rejects = (*packed.rejects, *rejects_of(packed, counts.refused))
        return WrittenThrough(counts, rejects, path)

    def _table_of(self, checked: CheckedRows, now_ms: int) -> pa.Table:
        """Return the usable rows, with the values, dtypes and ingestion time that the store gets."""
        columns = {
            self._columns.entity: pa.array(checked.ids, pa.string()),
            str(self._columns.event_times): pa.array(checked.times_ms, _TIME_TYPE),
        }
        if self._columns.created_times is not None:
            columns[self._columns.created_times] = pa.array(checked.created_ms, _TIME_TYPE)
        ingested_ms = np.full(len(checked.times_ms), now_ms)
        columns[self._ingestion_time_column] = pa.array(ingested_ms, _TIME_TYPE)
        for feature, column in zip(self._view.features, checked.columns, strict=True):
            values = pa.array(column.values, mask=~column.present)
            columns[feature.name] = values.cast(_ARROW_TYPES[feature.dtype])
        return pa.table(columns).filter(pa.array(checked.kept))

    def _write_history(self, rows: pa.Table) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}.parquet"
        scratch = path.with_suffix(".part")  # so that no reader's glob matches an unfinished file
        pq.write_table(rows, scratch)
        scratch.replace(path)
        return path
