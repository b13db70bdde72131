"""The ids that are not read: suspects while they are probed, and those that end a reader."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from understudy.domain.features import FeatureView
from understudy.features.ports import UNANSWERED, ViewRead

MOST_SUSPECTS: Final = 10_000  # the rows of one request
MOST_PUT_ASIDE: Final = 1_000
_SHOWN: Final = 20  # in the status, the only place that has the ids themselves

Name = tuple[str, str]  # view, id


@dataclass(frozen=True, slots=True)
class Suspect:
    """An id in a read that was pending when its reader ended.

    The views of the whole read matter: together they decide which bins of a record are read.
    """

    views: tuple[FeatureView, ...]
    place: int  # of its own view among `views`
    entity_id: str

    @property
    def name(self) -> Name:
        return (str(self.views[self.place]), self.entity_id)


def suspects_in(reads: Sequence[ViewRead]) -> list[Suspect]:
    """Return all ids of one read, each once."""
    views = tuple(read.view for read in reads)
    return [
        Suspect(views, place, entity_id)
        for place, read in enumerate(reads)
        for entity_id in dict.fromkeys(read.entity_ids)
        if entity_id is not None
    ]


def reads_of(suspects: Sequence[Suspect]) -> list[ViewRead]:
    """Return one read of suspects of the same views, with the bins of the original read."""
    ids: list[list[str | None]] = [[] for _ in suspects[0].views]
    for suspect in suspects:
        ids[suspect.place].append(suspect.entity_id)
    return [ViewRead(view, each) for view, each in zip(suspects[0].views, ids, strict=True)]


class WithheldIds:
    """Bounded: of suspects the latest stay, of ids put aside as well.

    `is_empty` is nearly always True, and the only thing that a read looks at then.
    """

    def __init__(self) -> None:
        self.is_empty = True
        self._suspects: dict[Name, Suspect] = {}
        self._aside: dict[Name, Suspect] = {}

    def __len__(self) -> int:
        return len(self._aside)

    def __contains__(self, name: Name) -> bool:
        return name in self._suspects or name in self._aside

    def put_aside(self) -> frozenset[Name]:
        return frozenset(self._aside)

    def suspect(self, suspects: Iterable[Suspect]) -> None:
        """Withhold `suspects` until they are judged."""
        for suspect in suspects:
            if suspect.name not in self._aside:
                self._suspects[suspect.name] = suspect
        while len(self._suspects) > MOST_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        self._note_emptiness()

    def suspects(self) -> tuple[Suspect, ...]:
        """Return suspects of the same views; empty if there are none."""
        views = next((suspect.views for suspect in self._suspects.values()), ())
        return tuple(each for each in self._suspects.values() if each.views == views)

    def judge(self, suspects: Iterable[Suspect], guilty: Iterable[Suspect]) -> None:
        """Put the guilty aside, and read the other suspects again."""
        for suspect in suspects:
            self._suspects.pop(suspect.name, None)
            self._aside.pop(suspect.name, None)
        for suspect in guilty:
            self._aside[suspect.name] = suspect
        while len(self._aside) > MOST_PUT_ASIDE:
            del self._aside[next(iter(self._aside))]
        self._note_emptiness()

    def longest_aside(self) -> tuple[Suspect, ...]:
        """Return the id whose last trial is the longest ago; empty if none is put aside."""
        return tuple(islice(self._aside.values(), 1))

    def without(self, reads: Sequence[ViewRead]) -> list[ViewRead]:
        """Return `reads` with None in place of withheld ids."""
        return [
            replace(
                read,
                entity_ids=[
                    None if each is not None and (str(read.view), each) in self else each
                    for each in read.entity_ids
                ],
            )
            for read in reads
        ]

    def shown(self) -> str:
        """Return a text that names some of the ids put aside; "" if there are none."""
        if not self._aside:
            return ""
        names = [f"{view} {entity_id!r}" for view, entity_id in list(self._aside)[:_SHOWN]]
        more = f" and {len(self) - _SHOWN} more" if len(self) > _SHOWN else ""
        return f"not read, because they end the reader: {', '.join(names)}{more}"

    def _note_emptiness(self) -> None:
        self.is_empty = not self._suspects and not self._aside


def with_unanswered(
    asked: Sequence[ViewRead], sent: Sequence[ViewRead], records: list[list[bytes | None]]
) -> list[list[bytes | None]]:
    """Return `records` with UNANSWERED for the ids that were asked and not sent."""
    return [
        [
            UNANSWERED if was_asked is not None and was_sent is None else record
            for was_asked, was_sent, record in zip(
                whole.entity_ids, part.entity_ids, found, strict=True
            )
        ]
        for whole, part, found in zip(asked, sent, records, strict=True)
    ]
