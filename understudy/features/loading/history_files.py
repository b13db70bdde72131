"""The files with a view's history, read by the code that loads them into stores."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from understudy.domain.errors import Fault, InvalidInputError, NotFoundError
from understudy.domain.features import FeatureView
from understudy.features.decisions.entity_ids import id_texts
from understudy.features.decisions.row_values import PackedRows, RowColumns, pack_rows
from understudy.features.loading.chunks import Chunk
from understudy.features.loading.source_files import (
    column_names,
    matching_files,
    open_chunks,
)

INGESTION_TIME_COLUMN = "ingestion_time"  # as write-through names it
_CHUNK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class HistorySource:
    """The Parquet or CSV files with the history of a view's records."""

    files: str  # a path or a glob
    entity_column: str
    event_time_column: str = "event_time"
    created_time_column: str | None = None
    ingestion_time_column: str = INGESTION_TIME_COLUMN  # unknown where a file lacks it
    needs_ingestion_times: bool = False  # some file must have them
    # Records of a store by entity id, whose ingestion times the same records of the files get.
    stored: Mapping[str, bytes | None] = field(default_factory=dict)

    def columns_for(self, view: FeatureView) -> RowColumns:
        """Return the columns besides the features; a feature is never the ingestion time."""
        given = RowColumns(self.entity_column, self.event_time_column, self.created_time_column)
        taken = {*given.names, *(feature.name for feature in view.features)}
        if self.ingestion_time_column in taken:
            return given
        return replace(given, ingestion_times=self.ingestion_time_column)


def entity_ids_in(view: FeatureView, source: HistorySource) -> set[str]:
    """Return the ids of all entities in the history of a view.

    Raises:
        The errors of `packed_rows_of`.
    """
    found: set[str] = set()
    for path in _paths(view, source):
        with open_chunks(path, [source.entity_column], chunk_rows=_CHUNK_ROWS) as chunks:
            for chunk in chunks:
                ids = _ids_of(view, chunk, source.entity_column)
                found.update(each for each in ids if each is not None)
    return found


def packed_rows_of(
    view: FeatureView, source: HistorySource, entities: Collection[str]
) -> Iterator[PackedRows]:
    """Yield the records of `entities` in the history of a view, chunk by chunk.

    Rows that loading rejects have no record. A file may lack features, which are absent in its
    rows, but each feature must be in some file; so must ingestion times, if the source needs them.
    A file without any feature of a family has no records of it.

    Raises:
        InvalidInputError: a file is not readable, or lacks columns.
        NotFoundError: there are no files.
    """
    paths = _paths(view, source)
    features = [feature.name for feature in view.features]
    of_rows = source.columns_for(view)
    if source.needs_ingestion_times and of_rows.ingestion_times is None:
        read = f"{source.ingestion_time_column}, which is another column of {view}"
        raise InvalidInputError([Fault("ingestion time column", read, "a column of its own")])
    ingestion = [str(of_rows.ingestion_times)] if source.needs_ingestion_times else []
    _check_columns(source, paths, [*features, *ingestion])
    columns = list(dict.fromkeys([*of_rows.names, *features]))
    may_lack = [name for name in features if name not in of_rows.names]
    if of_rows.ingestion_times is not None:
        columns.append(of_rows.ingestion_times)
        may_lack.append(of_rows.ingestion_times)
    for path in paths:
        if view.family and not set(features) & set(column_names(path)):
            continue
        with open_chunks(path, columns, chunk_rows=_CHUNK_ROWS, may_lack=may_lack) as chunks:
            for chunk in chunks:
                ids = _ids_of(view, chunk, source.entity_column)
                asked = np.fromiter(
                    (each in entities for each in ids), dtype=np.bool_, count=len(ids)
                )
                if asked.any():
                    yield pack_rows(
                        view,
                        chunk.batch.filter(pa.array(asked)),
                        columns=of_rows,
                        row_numbers=chunk.row_numbers[asked],
                    )


def _ids_of(view: FeatureView, chunk: Chunk, entity_column: str) -> list[str | None]:
    if not len(chunk.batch):
        return []
    return id_texts(chunk.batch.column(entity_column), view.key)


def _paths(view: FeatureView, source: HistorySource) -> list[Path]:
    paths = matching_files(source.files)
    if not paths:
        raise NotFoundError("history", f"{source.files} of {view}")
    return paths


def _check_columns(source: HistorySource, paths: Sequence[Path], wanted: Sequence[str]) -> None:
    known: set[str] = set()
    for path in paths:
        known.update(column_names(path))
        if known.issuperset(wanted):
            return
    missing = ", ".join(name for name in wanted if name not in known)
    raise InvalidInputError.of(
        source.files, read=f"no column {missing}", accepted="each column in some file"
    )
