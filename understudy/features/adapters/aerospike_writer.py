"""Writes records to Aerospike: many single puts in flight, each applied only if it is newer."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aerospike import exception as aerospike_errors

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.adapters.aerospike_client import (
    EVENT_TIME_BIN,
    LOADS_SET,
    AerospikeOptions,
    open_client,
    reason_of_error,
)
from understudy.features.adapters.aerospike_keys import newest_key, place_of, record_keys
from understudy.features.adapters.aerospike_puts import Put, is_newer, puts_of
from understudy.features.decisions.entity_keys import StoreKey, check_ids
from understudy.features.decisions.record_format import event_time_ms_of, record_format
from understudy.features.decisions.refused_record import RefusedRecord
from understudy.features.ports import LoadMark, WriteCounts

_ROWS_BIN = "rows"
_LARGEST = "a record within the namespace's max-record-size (1 MiB by default)"
_Key = tuple[str, str, StoreKey | None]


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
            InvalidInputError: an id does not fit the keys of the view, or another tool writes it.
            UnavailableError: the server did not accept all records.
        """
        check_ids(view.key, [entity_id for entity_id, _ in records])
        puts, unwritable = puts_of(view, records)
        place = place_of(self._options, view)
        ttl_s = None if view.ttl_s is None else max(1, round(view.ttl_s))
        share = -(-len(puts) // self._options.write_threads) or 1
        starts = range(0, len(puts), share)
        parts = self._executor.map(
            lambda start: self._put_all(place, puts[start : start + share], ttl_s), starts
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
        keys = record_keys(view, entity_ids)
        try:
            found = [self._client.exists((*place, key)) for key in keys if key is not None]
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error
        return sum(meta is not None for _, meta in found)

    def delete(self, view: FeatureView, entity_id: str) -> bool:
        check_ids(view.key, [entity_id])
        (key,) = record_keys(view, [entity_id])
        if key is None:  # beyond the range of the key's type
            return False
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
        condition = is_newer(EVENT_TIME_BIN, newest_ms).compile()
        key = newest_key(self._options, view)
        self._put(key, {EVENT_TIME_BIN: newest_ms}, {"expressions": condition})

    def _mark_key(self, load_id: str) -> _Key:
        return (self._options.namespace, self._options.set_prefix + LOADS_SET, load_id)

    def _put_all(
        self, place: tuple[str, str], puts: Sequence[Put], ttl_s: int | None
    ) -> WriteCounts:
        limits = {} if ttl_s is None else {"ttl": ttl_s}
        written = older = 0
        refused: list[RefusedRecord] = []
        for put in puts:
            policy = limits if put.condition is None else {**limits, "expressions": put.condition}
            try:
                is_written = self._put((*place, put.key), put.bins, policy)
            except aerospike_errors.RecordTooBig:
                read = f"the record of {put.entity_id!r}"
                refused.append(RefusedRecord(put.index, read, _LARGEST))
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
