"""Division of batches into slices that hold the interpreter lock only briefly. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from understudy.logs.batches import LogBatch, rows_between
from understudy.logs.columns import FileKey


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one file that are written as one record batch."""

    key: FileKey
    batches: tuple[LogBatch, ...]

    @property
    def rows(self) -> int:
        return sum(batch.rows for batch in self.batches)

    @property
    def size_bytes(self) -> int:
        return sum(batch.size_bytes for batch in self.batches)


def cut(batches: Iterable[tuple[FileKey, LogBatch]], *, rows: int) -> Iterator[Slice]:
    """Yield all rows of `batches` by file, in slices of fewer than twice `rows` rows.

    Rows of one file keep their order.
    """
    gathered: dict[FileKey, list[LogBatch]] = {}
    counts: dict[FileKey, int] = {}
    for key, batch in batches:
        for part in _parts(batch, rows):
            gathered.setdefault(key, []).append(part)
            counts[key] = counts.get(key, 0) + part.rows
            if counts[key] >= rows:
                yield Slice(key, tuple(gathered.pop(key)))
                del counts[key]
    for key, parts in gathered.items():
        yield Slice(key, tuple(parts))


def _parts(batch: LogBatch, rows: int) -> Iterator[LogBatch]:
    if 0 < batch.rows <= rows:
        yield batch
        return
    for start in range(0, batch.rows, rows):
        yield rows_between(batch, start, start + rows)
