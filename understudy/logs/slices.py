"""Division of batches into slices that hold the interpreter lock only briefly. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from understudy.logs.columns import FileKey
from understudy.logs.numbered import Numbered


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one file that are written as one record batch."""

    key: FileKey
    batches: tuple[Numbered, ...]

    @property
    def rows(self) -> int:
        return sum(each.batch.rows for each in self.batches)

    @property
    def size_bytes(self) -> int:
        return sum(each.batch.size_bytes for each in self.batches)


def cut(batches: Iterable[tuple[FileKey, Numbered]], *, rows: int) -> Iterator[Slice]:
    """Yield all rows of `batches` by file, in slices of fewer than twice `rows` rows.

    Rows of one file keep their order.
    """
    gathered: dict[FileKey, list[Numbered]] = {}
    counts: dict[FileKey, int] = {}
    for key, numbered in batches:
        for part in _parts(numbered, rows):
            gathered.setdefault(key, []).append(part)
            counts[key] = counts.get(key, 0) + part.batch.rows
            if counts[key] >= rows:
                yield Slice(key, tuple(gathered.pop(key)))
                del counts[key]
    for key, parts in gathered.items():
        yield Slice(key, tuple(parts))


def _parts(numbered: Numbered, rows: int) -> Iterator[Numbered]:
    given = numbered.batch.rows
    if 0 < given <= rows:
        yield numbered
        return
    for start in range(0, given, rows):
        yield numbered.between(start, start + rows)
