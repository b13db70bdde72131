"""One writer for the online store and the offline history, so that both hold the same values."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from domain.errors import InvalidInputError
from domain.features import FeatureView
from features.decisions.row_values import Reject, pack_rows, rejects_of
from features.ports import FeatureWriter, WriteCounts


@dataclass(frozen=True, slots=True)
class WrittenThrough:
    """What became of the rows of a write."""

    counts: WriteCounts
    rejects: tuple[Reject, ...]
    path: Path | None  # of the history file; None: no row was usable


class WriteThrough:
    """Writes rows of one view to Parquet files below `folder`, then to the online store."""

    def __init__(
        self,
        view: FeatureView,
        writer: FeatureWriter,
        folder: Path,
        *,
        entity_column: str | None = None,
        event_time_column: str = "event_time",
    ) -> None:
        self._view = view
        self._writer = writer
        self._folder = folder / f"view={view}"
        self._entity_column = entity_column or view.entity
        self._event_time_column = event_time_column

    def write(self, rows: pa.Table) -> WrittenThrough:
        """Write the usable rows, history first: what is served can always be learnt from.

        A repetition after a failure is harmless: history counts equal rows once, and the store
        keeps the later event.

        Raises:
            InvalidInputError: a column is missing.
            UnavailableError: the store did not take the rows; history has them.
        """
        names = [
            self._entity_column,
            self._event_time_column,
            *(feature.name for feature in self._view.features),
        ]
        if missing := [name for name in names if name not in rows.column_names]:
            raise InvalidInputError.of(
                "rows", read=", ".join(rows.column_names), accepted=f"also {', '.join(missing)}"
            )
        kept = rows.select(names).combine_chunks()
        batches = kept.to_batches()
        if not batches:
            return WrittenThrough(WriteCounts(0, 0), (), None)
        packed = pack_rows(
            self._view,
            batches[0],
            entity_column=self._entity_column,
            event_times=self._event_time_column,
            first_row=0,
        )
        rejected = {reject.row for reject in packed.rejects}
        usable = kept.filter(pa.array([row not in rejected for row in range(len(kept))]))
        path = self._write_history(usable) if len(usable) else None
        counts = self._writer.write(self._view, packed.records, mark=None)
        rejects = (*packed.rejects, *rejects_of(packed, counts.refused))
        return WrittenThrough(counts, rejects, path)

    def _write_history(self, rows: pa.Table) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Of rows with one time the first counts, here by the name of the file as in the store.
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}.parquet"
        scratch = path.with_suffix(".part")  # no reader's glob takes a file that is being written
        pq.write_table(rows, scratch)
        scratch.replace(path)
        return path
