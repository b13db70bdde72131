"""The interfaces of a feature store: for reading, for inspection and for loading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.decisions.refused_record import RefusedRecord

UNANSWERED = b""  # the store answered other keys of this read, but not this one


@dataclass(frozen=True, slots=True)
class ViewRead:
    """A read of records of one view, in row order."""

    view: FeatureView
    entity_ids: Sequence[str | None]  # None: the request names no entity of this type


class FeatureStore(Protocol):
    """Reads packed records (see `understudy.features.decisions.record_format`), a batch per call.

    Each list in the answer corresponds to the read at the same index and has its length. None
    means "no record"; `UNANSWERED` means "no answer for this key". The only error is
    UnavailableError: there was no answer at all.
    """

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        """Read within `timeout_s`; a blocking store reads off the event loop."""
        ...

    async def close(self) -> None: ...


class UnusableError(UnavailableError):
    """The store is open, but must not be read any more; opening it again may help."""


class BlockingStore(Protocol):
    """A store as its reader process sees it: calls that block, from up to `threads` threads.

    All calls raise UnavailableError as those of `FeatureStore` do, and UnusableError.
    """

    @property
    def threads(self) -> int: ...

    def read_blocking(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]: ...

    def ping_blocking(self, *, timeout_s: float) -> None: ...

    def newest_blocking(self, view: FeatureView, *, timeout_s: float) -> int | None: ...

    def condition(self) -> str:
        """Return a description of faults that leave the store usable; "" if there are none."""
        ...

    def counters(self) -> Mapping[str, int]: ...

    def close_now(self) -> None: ...


class InspectableStore(FeatureStore, Protocol):
    """A feature store that reports on its own state."""

    def troubles(self) -> Sequence[str]:
        """Return the faults at present, for operators; empty if there are none."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return counts of events since the store was opened, by name, for metrics."""
        ...

    async def ping(self, *, timeout_s: float) -> None:
        """Return once the store has answered a real read.

        Raises:
            UnavailableError: the store did not answer within `timeout_s`.
        """
        ...

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        """Return the event time of the newest record that Understudy has written, in UTC ms.

        None if there is none, or if another tool writes this view.

        Raises:
            UnavailableError: the store did not answer within `timeout_s`.
        """
        ...


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """The outcome of a write, in counts of records."""

    written: int
    older: int  # not written: the store holds this record or a later one
    refused: tuple[RefusedRecord, ...] = ()  # not written; the other records are


class FeatureWriter(Protocol):
    """Writes packed records; the later one stays (see `decisions.record_order`)."""

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: "LoadMark | None"
    ) -> WriteCounts:
        """Write (entity id, packed record) pairs, and the progress of a load with them.

        The mark is not moved if a record is refused, so that a repeated load reports it again.

        Raises:
            InvalidInputError: an id does not fit the keys of the view.
            UnavailableError: the store did not accept the records; part of them may have been
                written, and repeating the same call completes the write.
        """
        ...

    def read_mark(self, load_id: str) -> int:
        """Return the number of rows that a load with this id has written; 0 for a new load."""
        ...

    def count_held(self, view: FeatureView, entity_ids: Sequence[str]) -> int:
        """Return the number of these entities that have a record.

        Raises:
            UnavailableError: the store did not answer.
        """
        ...

    def delete(self, view: FeatureView, entity_id: str) -> bool:
        """Delete the record of one entity; return whether there was one.

        The record is not read, because what it contains may end the process.

        Raises:
            InvalidInputError: the id does not fit the keys of the view.
            UnavailableError: the store did not confirm the deletion; repeating it is harmless.
        """
        ...

    def close_now(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoadMark:
    """The progress of a load, from which a repeated load resumes."""

    load_id: str
    rows: int
