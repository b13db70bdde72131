"""Recently seen records, for use when the store does not answer. Bounded, without a clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

from understudy.features.ports import UNANSWERED, ViewRead

_Seen = tuple[bytes | None, float]  # record, when


@dataclass(frozen=True, slots=True, eq=False)
class Recalled:
    """Records in the shape of a store's answer, with a mask of those that come from memory."""

    records: list[list[bytes | None]]
    from_memory: list[npt.NDArray[np.bool_] | None]  # per read, shape (n,); None: no row

    @property
    def is_from_memory(self) -> bool:
        """True if any record comes from memory."""
        return any(mask is not None for mask in self.from_memory)


class LastKnownRecords:
    """Remembers the records of whole batches, and forgets the least recently seen.

    There are two generations: new records go to the young one; when it holds half of the bound,
    it becomes the old one, and the previous old one is dropped. A batch thus costs one
    `dict.update`, and an entity is kept while at most half the bound of other entities is seen.
    """

    def __init__(self, *, max_records: int, max_age_s: float) -> None:
        self._half = max(1, max_records // 2)
        self._max_age_s = max_age_s
        self._young: dict[str, dict[str | None, _Seen]] = {}
        self._old: dict[str, dict[str | None, _Seen]] = {}

    def __len__(self) -> int:
        """Return the number of records kept; one present in both generations counts twice."""
        return _count(self._young) + _count(self._old)

    def remember(
        self, reads: Sequence[ViewRead], records: Sequence[Sequence[bytes | None]], *, now_s: float
    ) -> None:
        """Keep the store's answers. "No record" is an answer; `UNANSWERED` is not."""
        for read, answered in zip(reads, records, strict=True):
            kept = self._young.setdefault(_name_of(read), {})
            if UNANSWERED in answered:
                kept.update(
                    (entity_id, (record, now_s))
                    for entity_id, record in zip(read.entity_ids, answered, strict=True)
                    if record != UNANSWERED
                )
            else:
                kept.update(
                    zip(read.entity_ids, zip(answered, repeat(now_s), strict=False), strict=False)
                )
        if _count(self._young) >= self._half:
            self._old, self._young = self._young, {}

    def recall(self, reads: Sequence[ViewRead], *, now_s: float) -> Recalled:
        """Return the remembered records for `reads`, for use when the store failed entirely."""
        nothing: list[list[bytes | None]] = [[UNANSWERED] * len(each.entity_ids) for each in reads]
        return self.fill(reads, nothing, now_s=now_s)

    def fill(
        self, reads: Sequence[ViewRead], records: Sequence[list[bytes | None]], *, now_s: float
    ) -> Recalled:
        """Return `records`, with remembered ones in place of those that are `UNANSWERED`."""
        filled: list[list[bytes | None]] = []
        masks: list[npt.NDArray[np.bool_] | None] = []
        for read, answered in zip(reads, records, strict=True):
            if UNANSWERED not in answered:
                filled.append(answered)
                masks.append(None)
                continue
            young = self._young.get(_name_of(read), {})
            old = self._old.get(_name_of(read), {})
            oldest_s = now_s - self._max_age_s
            seen = [
                young.get(entity_id) or old.get(entity_id) if record == UNANSWERED else None
                for entity_id, record in zip(read.entity_ids, answered, strict=True)
            ]
            usable = [each is not None and each[1] >= oldest_s for each in seen]
            filled.append(
                [
                    each[0] if each is not None and is_usable else record
                    for each, is_usable, record in zip(seen, usable, answered, strict=True)
                ]
            )
            masks.append(np.array(usable, dtype=np.bool_))
        return Recalled(filled, masks)


def _name_of(read: ViewRead) -> str:
    return f"{read.view.name}@{read.view.version}/{read.view.family}"


def _count(generation: dict[str, dict[str | None, _Seen]]) -> int:
    return sum(map(len, generation.values()))
