"""Ingestion times: when a store got a record, and which records were known at a time.

Event time is when a value became true, created time when its source made it, ingestion time
when a store could first answer with it. An answer can only use what was ingested before it.
"""

from dataclasses import dataclass

import pyarrow as pa

from understudy.domain.errors import InvalidInputError
from understudy.features.decisions.event_times import ACCEPTED_TIME, times_of
from understudy.features.decisions.record_format import WORD_BYTES, RecordFormat


@dataclass(frozen=True, slots=True)
class KnownWhenAsked:
    """A row gets only records that had been ingested by its own time.

    `delay_ms` after its ingestion a record counts as known: writing and caches take time.
    """

    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class KnownBy:
    """Every row gets only records that had been ingested by one time, UTC ms since 1970."""

    at_ms: int


KnownAt = KnownWhenAsked | KnownBy


def parse_known_at(text: str, field: str) -> KnownAt:
    """Return the meaning of `row`, or of a time in ISO 8601 (UTC without a zone).

    Raises:
        InvalidInputError: it is neither; `field` names it.
    """
    if text == "row":
        return KnownWhenAsked()
    times = times_of(pa.array([text], pa.string()))
    if times.unusable[0]:
        raise InvalidInputError.of(field, read=text, accepted=f"row, or {ACCEPTED_TIME}")
    return KnownBy(int(times.ms[0]))


def known_from_ms(form: RecordFormat, record: bytes, known_at: KnownAt | None) -> int | None:
    """Return the time from which a record counts as known, UTC milliseconds since 1970.

    None if its ingestion time is unknown.
    """
    ingested_ms = ingestion_time_ms_of(form, record)
    if not ingested_ms:
        return None
    return ingested_ms + (known_at.delay_ms if isinstance(known_at, KnownWhenAsked) else 0)


def ingestion_time_ms_of(form: RecordFormat, record: bytes) -> int:
    """Return the time at which a store got a record, UTC milliseconds since 1970; 0 if unknown."""
    start = _offset(form)
    return int.from_bytes(record[start : start + WORD_BYTES], "little", signed=True)


def with_ingestion_time(form: RecordFormat, record: bytes, ingestion_time_ms: int) -> bytes:
    """Return the record with another ingestion time, UTC milliseconds; 0 for an unknown one."""
    start = _offset(form)
    time = ingestion_time_ms.to_bytes(WORD_BYTES, "little", signed=True)
    return b"".join((record[:start], time, record[start + WORD_BYTES :]))


def with_time_of(form: RecordFormat, record: bytes, stored: bytes | None) -> bytes:
    """Return a record of a file with its ingestion time in a store, where only the store has it.

    The stored record must be the same one, apart from this time.
    """
    if not stored or ingestion_time_ms_of(form, record):
        return record
    return stored if with_ingestion_time(form, stored, 0) == record else record


def _offset(form: RecordFormat) -> int:
    return form.event_time_offset + 2 * WORD_BYTES
