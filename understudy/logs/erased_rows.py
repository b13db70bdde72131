"""Rows that were erased, by the statements in an object store: no copy may bring them back.

A process that puts a file of a log looks for statements before it, and again after it: of two that
change one object at a time, the later one sees the statement of the other, which came first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from understudy.logs.decisions.numbers import Range
from understudy.logs.journal import encoding_of
from understudy.logs.readable_files import FAULTS_OF_READING
from understudy.logs.schema import LogKind
from understudy.logs.statements import (
    ERASED,
    STATEMENTS,
    NumbersByWriter,
    is_removal,
    removal_of,
    united_numbers,
)
from understudy.runtime.object_store import ObjectStore


@dataclass(slots=True)
class ErasedRows:
    """The numbers of rows that are stated as erased, as last read from a store."""

    store: ObjectStore
    _known: set[str] = field(default_factory=set)  # keys of statements
    _numbers: dict[tuple[LogKind, str], NumbersByWriter] = field(default_factory=dict)

    def refresh(self) -> bool:
        """Read the statements that are new; return whether one is of an erasure.

        Raises:
            UnavailableError: the store does not answer, or refuses.
        """
        is_changed = False
        for each in self.store.listed(STATEMENTS):
            if each.key in self._known or not is_removal(each.key):
                continue
            try:
                stated = removal_of(json.loads(self.store.read(each.key)))
            except ValueError:
                stated = None  # of other software
            if stated is not None and stated.cause == ERASED:
                of_log = stated.kind, stated.model
                known = self._numbers.get(of_log, ())
                self._numbers[of_log] = united_numbers([known, stated.by_writer])
                is_changed = True
            self._known.add(each.key)
        return is_changed

    def kept(self, kind: LogKind, model: str, rows: pa.Table) -> pa.Table:
        """Return the rows without those that were erased; the same table if none was."""
        erased = _is_erased(rows, dict(self._numbers.get((kind, model), ())))
        return rows.filter(pa.array(~erased)) if erased.any() else rows

    def kept_content(self, kind: LogKind, model: str, content: bytes) -> bytes | None:
        """Return the bytes of a file without the rows that were erased; None if all were.

        A file that cannot be read, or has no numbers, is returned as it is.
        """
        if (kind, model) not in self._numbers:
            return content
        try:
            rows = pq.ParquetFile(pa.BufferReader(content)).read()
            kept = self.kept(kind, model, rows)
        except (*FAULTS_OF_READING, KeyError):
            return content
        if kept is rows:
            return content
        return file_content(kept) if len(kept) else None


def file_content(rows: pa.Table) -> bytes:
    """Return rows as the bytes of a file of the logs."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, **encoding_of(rows.schema))
    return bytes(sink.getvalue())


def _is_erased(rows: pa.Table, numbers: Mapping[str, Sequence[Range]]) -> NDArray[np.bool_]:
    erased = np.zeros(len(rows), np.bool_)
    if not numbers:
        return erased
    number = rows["writer_sequence"].to_numpy()
    for writer in pc.unique(rows["writer_id"]).to_pylist():
        if ranges := numbers.get(writer):
            first, last = (np.array(ends) for ends in zip(*ranges, strict=True))
            place = np.searchsorted(first, number, side="right") - 1
            is_inside = (place >= 0) & (number <= last[np.maximum(place, 0)])
            erased |= is_inside & pc.equal(rows["writer_id"], writer).to_numpy()
    return erased
