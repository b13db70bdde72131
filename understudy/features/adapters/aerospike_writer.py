"""Writes records to Aerospike: many single puts in flight, each applied only if it is newer."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aerospike import exception as aerospike_errors
from aerospike_helpers import expressions as exp

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView, KeyKind
from understudy.domain.record_layouts import BinsLayout
from understudy.features.adapters.aerospike_bins import BinsCodec
from understudy.features.adapters.aerospike_client import (
    CREATED_TIME_BIN,
    DIGEST_BIN,
    EVENT_TIME_BIN,
    FINGERPRINT_BIN,
    LOADS_SET,
    RECORD_BIN,
    AerospikeOptions,
    newest_key,
    open_client,
    place_of,
    reason_of_error,
)
from understudy.features.decisions.bin_times import bin_time_of, writable_times
from understudy.features.decisions.entity_keys import StoreKey, check_ids, store_keys
from understudy.features.decisions.record_format import (
    created_time_ms_of,
    event_time_ms_of,
    record_format,
    unpack_record,
)
from understudy.features.decisions.record_order import fingerprint_of, places_of_latest
from understudy.features.decisions.refused_record import RefusedRecord
from understudy.features.ports import LoadMark, WriteCounts

_ROWS_BIN = "rows"
_LARGEST = "a record within the namespace's max-record-size (1 MiB by default)"
_Key = tuple[str, str, StoreKey | None]
_Put = tuple[int, str, dict[str, Any], Any]  # index of the record, entity id, bins, condition


class AerospikeWriter:
    """Puts records from several threads; a condition on the server keeps the later event."""

    def __init__(self, options: AerospikeOptions) -> None:
        self._options = options
        self._client = open_client(options, must_connect=True)
        self._executor = ThreadPoolExecutor(
            options.write_threads, thread_name_prefix="aerospike-write"
        )

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: LoadMark | None
    ) -> WriteCounts:
        """Put each record separately, then the mark.

        Raises:
            InvalidInputError: the server cannot store one of the ids.
            UnavailableError: the server did not accept all records.
        """
        check_ids(view.key, [entity_id for entity_id, _ in records])
        puts, unwritable = (
            (_packed_puts(view, records), ())
            if view.layout is None
            else _bins_puts(view, view.layout, records)
        )
        place = place_of(self._options, view)
        ttl_s = None if view.ttl_s is None else max(1, round(view.ttl_s))
        share = -(-len(puts) // self._options.write_threads) or 1
        starts = range(0, len(puts), share)
        parts = self._executor.map(
            lambda start: self._put_all(place, view.key, puts[start : start + share], ttl_s), starts
        )
        surpassed = len(records) - len(puts) - len(unwritable)  # by others of this write
        counts = _added([WriteCounts(0, surpassed, tuple(unwritable)), *parts])
        refused = {each.place for each in counts.refused}
        if kept := [each for place, each in enumerate(records) if place not in refused]:
            self._note_newest(view, kept)
        if mark is not None and not refused:
            self._put(self._mark_key(mark.load_id), {_ROWS_BIN: mark.rows}, {})
        return counts

    def read_mark(self, load_id: str) -> int:
        try:
            _, _, bins = self._client.get(self._mark_key(load_id))
        except aerospike_errors.RecordNotFound:
            return 0
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error
        return int(bins[_ROWS_BIN])

    def count_held(self, view: FeatureView, entity_ids: Sequence[str]) -> int:
        place = place_of(self._options, view)
        keys = store_keys(view.key, entity_ids)
        try:
            found = [self._client.exists((*place, key)) for key in keys if key is not None]
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error
        return sum(meta is not None for _, meta in found)

    def delete(self, view: FeatureView, entity_id: str) -> bool:
        check_ids(view.key, [entity_id])
        (key,) = store_keys(view.key, [entity_id])
        policy = {"durable_delete": self._options.durable_deletes}
        try:
            self._client.remove((*place_of(self._options, view), key), policy=policy)
        except aerospike_errors.RecordNotFound:
            return False
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error
        return True

    def close_now(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _note_newest(self, view: FeatureView, records: Sequence[tuple[str, bytes]]) -> None:
        form = record_format(view)
        newest_ms = max(event_time_ms_of(form, record) for _, record in records)
        condition = _is_newer(EVENT_TIME_BIN, newest_ms).compile()
        key = newest_key(self._options, view)
        self._put(key, {EVENT_TIME_BIN: newest_ms}, {"expressions": condition})

    def _mark_key(self, load_id: str) -> _Key:
        return (self._options.namespace, self._options.set_prefix + LOADS_SET, load_id)

    def _put_all(
        self, place: tuple[str, str], kind: KeyKind, puts: Sequence[_Put], ttl_s: int | None
    ) -> WriteCounts:
        limits = {} if ttl_s is None else {"ttl": ttl_s}
        written = older = 0
        refused: list[RefusedRecord] = []
        keys = store_keys(kind, [entity_id for _, entity_id, _, _ in puts])
        for key, (index, entity_id, bins, condition) in zip(keys, puts, strict=True):
            policy = limits if condition is None else {**limits, "expressions": condition}
            try:
                is_written = self._put((*place, key), bins, policy)
            except aerospike_errors.RecordTooBig:
                refused.append(RefusedRecord(index, f"the record of {entity_id!r}", _LARGEST))
                continue
            written += is_written
            older += not is_written
        return WriteCounts(written, older, tuple(refused))

    def _put(self, key: _Key, bins: dict[str, Any], policy: dict[str, Any]) -> bool:
        try:
            self._client.put(key, bins, policy=policy)
        except aerospike_errors.FilteredOut:
            return False
        except aerospike_errors.RecordNotFound:
            return True  # every value is absent, and no record exists to remove bins from
        except aerospike_errors.RecordTooBig:
            raise  # the record is at fault, not the server
        except aerospike_errors.ForbiddenError as error:
            why = "forbidden"
            if "ttl" in policy:
                why += "; a time to live needs nsup-period above 0 in the namespace"
            raise UnavailableError(self._options.dependency, why) from error
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error
        return True

    def _unavailable(self, error: aerospike_errors.AerospikeError) -> UnavailableError:
        return UnavailableError(self._options.dependency, reason_of_error(error))


def _added(parts: Sequence[WriteCounts]) -> WriteCounts:
    return WriteCounts(
        sum(part.written for part in parts),
        sum(part.older for part in parts),
        tuple(each for part in parts for each in part.refused),
    )


def _packed_puts(view: FeatureView, records: Sequence[tuple[str, bytes]]) -> list[_Put]:
    form = record_format(view)
    digest = form.digest.hex()
    other_digest = exp.NE(exp.StrBin(DIGEST_BIN), digest)
    puts: list[_Put] = []
    for place, (entity_id, record) in enumerate(records):
        order = {
            EVENT_TIME_BIN: event_time_ms_of(form, record),
            CREATED_TIME_BIN: created_time_ms_of(form, record),
            FINGERPRINT_BIN: fingerprint_of(record),
        }
        condition = exp.Or(_is_later(list(order.items())), other_digest).compile()
        puts.append(
            (place, entity_id, {RECORD_BIN: record, DIGEST_BIN: digest, **order}, condition)
        )
    return puts


def _bins_puts(
    view: FeatureView, layout: BinsLayout, records: Sequence[tuple[str, bytes]]
) -> tuple[list[_Put], list[RefusedRecord]]:
    form = record_format(view)
    codec = BinsCodec(view, layout)
    times = _bin_times(layout, [event_time_ms_of(form, record) for _, record in records])
    refused = [
        RefusedRecord(
            index,
            f"event time {event_time_ms_of(form, records[index][1])} ms of {records[index][0]!r}",
            writable_times(layout.event_time_unit),
        )
        for index, time in enumerate(times)
        if time is None
    ]
    puts: list[_Put] = []
    usable = [index for index, time in enumerate(times) if time is not None]
    # Among equal event times within a write the order of records decides, as everywhere; between
    # writes the first stays, because these bins have no room for the rest of the order.
    for place in places_of_latest(form, [records[index] for index in usable]):
        index = usable[place]
        entity_id, record = records[index]
        bins = codec.bins_of(unpack_record(form, record), event_time_ms_of(form, record))
        # Without an event time bin the newer record cannot be determined: the last write wins.
        condition = (
            _is_newer(layout.event_time_bin, bins[layout.event_time_bin]).compile()
            if layout.event_time_bin
            else None
        )
        puts.append((index, entity_id, dict(bins), condition))
    return puts, refused


def _bin_times(layout: BinsLayout, times_ms: Sequence[int]) -> Sequence[int | None]:
    """Return the content of the event time bin for each time; None if there is none."""
    if not layout.event_time_bin:
        return times_ms
    return [bin_time_of(time_ms, layout.event_time_unit) for time_ms in times_ms]


def _is_later(order: Sequence[tuple[str, int]]) -> Any:
    """Return the condition that a record comes before `order`, bin after bin."""
    (name, value), *rest = order
    is_newer = _is_newer(name, value)
    if not rest:
        return is_newer
    return exp.Or(is_newer, exp.And(exp.Eq(exp.IntBin(name), value), _is_later(rest)))


def _is_newer(name: str, event_time_ms: int) -> Any:
    return exp.Or(exp.Not(exp.BinExists(name)), exp.LT(exp.IntBin(name), event_time_ms))
