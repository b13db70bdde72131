"""The order of records of one entity: which one a store keeps, and history returns.

By event time; ties by created time, so that a correction can be loaded; further ties
by a fingerprint. The last has no meaning, but makes the order total: every store and the
history keep the same record, whatever the order in which files are loaded.
"""

from collections.abc import Iterable
from hashlib import blake2b

from understudy.features.decisions.ingestion_times import with_ingestion_time
from understudy.features.decisions.record_format import (
    RecordFormat,
    created_time_ms_of,
    event_time_ms_of,
)

_FINGERPRINT_BYTES = 8


def fingerprint_of(form: RecordFormat, record: bytes) -> int:
    """Return 64 bits of a record's digest as a signed integer, which every store can compare.

    The ingestion time is left out, or the order of loading would decide.
    """
    content = with_ingestion_time(form, record, 0)
    digest = blake2b(content, digest_size=_FINGERPRINT_BYTES).digest()
    return int.from_bytes(digest, "big", signed=True)


def is_later(form: RecordFormat, record: bytes, than: bytes) -> bool:
    """Return whether `record` replaces `than`. Both are of this format and of one entity."""
    times = (event_time_ms_of(form, record), created_time_ms_of(form, record))
    others = (event_time_ms_of(form, than), created_time_ms_of(form, than))
    if times != others:
        return times > others
    return fingerprint_of(form, record) > fingerprint_of(form, than)


def places_of_latest(form: RecordFormat, records: Iterable[tuple[str, bytes]]) -> list[int]:
    """Return the index of the latest record of each entity, in ascending order."""
    latest: dict[str, tuple[int, bytes]] = {}
    for place, (entity_id, record) in enumerate(records):
        there = latest.get(entity_id)
        if there is None or is_later(form, record, there[1]):
            latest[entity_id] = (place, record)
    return sorted(place for place, _ in latest.values())
