"""What a feature store is to those who read from it and to those who load it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from understudy.domain.features import FeatureView
from understudy.features.decisions.row_values import RefusedRecord

UNANSWERED = b""  # stands where the store gave no answer for one key while it answered others


@dataclass(frozen=True, slots=True)
class ViewRead:
    """The records of one view to read, in row order."""

    view: FeatureView
    entity_ids: Sequence[str | None]  # None: the request names no such entity


class FeatureStore(Protocol):
    """Reads packed records (see `understudy.features.decisions.record_format`), a batch per call.

    Each list of the answer belongs to the read at its place and has its length. None stands for
    "no record"; `UNANSWERED` for "no answer for this key". The only error is UnavailableError:
    nothing was answered.
    """

    @property
    def inline(self) -> bool:
        """True: `read_now` may be called on the event loop. False: await `read`."""
        ...

    def read_now(self, reads: Sequence[ViewRead]) -> list[list[bytes | None]]:
        """Read without a time limit of its own."""
        ...

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        """Read within `timeout_s`, off the event loop where the store blocks."""
        ...

    async def close(self) -> None: ...


class InspectableStore(FeatureStore, Protocol):
    """A feature store that operators can ask about itself."""

    def counters(self) -> Mapping[str, int]:
        """Return what happened since it was opened, by name, for metrics."""
        ...

    async def ping(self, *, timeout_s: float) -> None:
        """Return when the store has answered a real read.

        Raises:
            UnavailableError: it has not, within `timeout_s`.
        """
        ...

    async def newest_event_time_ms(self, view: FeatureView, *, timeout_s: float) -> int | None:
        """Return the event time of the newest record that our writers put; UTC ms.

        None: none was put, or another tool writes this view.

        Raises:
            UnavailableError: the store did not answer within `timeout_s`.
        """
        ...


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """What became of the records of a write."""

    written: int
    older: int  # left alone: the store holds a record of the same or a later event time
    refused: tuple[RefusedRecord, ...] = ()  # left out; the others are written


class FeatureWriter(Protocol):
    """Puts packed records; the record with the later event time stays."""

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: "LoadMark | None"
    ) -> WriteCounts:
        """Put (entity id, packed record) pairs; with them, where a load has come to.

        The mark is left as it was when a record is refused: a repetition shall hear of it again.

        Raises:
            UnavailableError: the store did not take them; a part may have been written, which a
                repetition of the same call mends.
        """
        ...

    def read_mark(self, load_id: str) -> int:
        """Return the rows that a load with this id has put already; 0 when it is new."""
        ...

    def close_now(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LoadMark:
    """How far a load has come, so that a repetition goes on from there."""

    load_id: str
    rows: int
