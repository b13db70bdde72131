"""Writes records to Aerospike in batches; the server applies each only if it is later."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aerospike import exception as aerospike_errors
from aerospike_helpers.batch import records as batch_records
from aerospike_helpers.operations import operations as operation

from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureView
from understudy.features.adapters.aerospike_client import (
    EVENT_TIME_BIN,
    LOADS_SET,
    AerospikeOptions,
    open_client,
    reason_of,
    reason_of_error,
)
from understudy.features.adapters.aerospike_keys import newest_key, place_of, record_keys
from understudy.features.adapters.aerospike_puts import Put, batches_of, is_newer, puts_of
from understudy.features.decisions.entity_keys import StoreKey, check_ids
from understudy.features.decisions.record_format import event_time_ms_of, record_format
from understudy.features.decisions.refused_record import RefusedRecord
from understudy.features.ports import LoadMark, WriteCounts

_ROWS_BIN = "rows"
_LARGEST = "a record within the namespace's max-record-size (1 MiB by default)"
_ROWS_PER_LIMIT = 16
_NOT_FOUND, _TOO_BIG, _FORBIDDEN, _FILTERED_OUT = 2, 13, 22, 27
# Not found: every value is absent, and no record exists to remove bins from.
_ROW_ANSWERS = {0, _NOT_FOUND, _TOO_BIG, _FILTERED_OUT}
_PARTIAL = {0, -16}  # codes of a batch whose rows carry their own results
_Key = tuple[str, str, StoreKey | None]


class AerospikeWriter:
    """Puts batches from several threads; a condition on the server keeps the later record."""

    def __init__(self, options: AerospikeOptions) -> None:
        self._options = options
        self._client = open_client(options, must_connect=True)
        self._executor = ThreadPoolExecutor(
            options.write_threads, thread_name_prefix="aerospike-write"
        )

    def write(
        self, view: FeatureView, records: Sequence[tuple[str, bytes]], *, mark: LoadMark | None
    ) -> WriteCounts:
        """Put all records, then the mark.

        Raises:
            InvalidInputError: an id does not fit the keys of the view, or another tool writes it.
            UnavailableError: the server did not accept all records.
        """
        check_ids(view.key, [entity_id for entity_id, _ in records])
        puts, unwritable = puts_of(view, records)
        place = place_of(self._options, view)
        policy = {} if view.ttl_s is None else {"ttl": max(1, round(view.ttl_s))}
        batches = batches_of(puts)
        parts = self._executor.map(lambda batch: self._put_batch(place, batch, policy), batches)
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

    def _put_batch(
        self, place: tuple[str, str], puts: Sequence[Put], policy: Mapping[str, int]
    ) -> WriteCounts:
        """Put records in one request; the server applies, filters and refuses each separately."""
        rows = batch_records.BatchRecords([_row(place, put, policy) for put in puts])
        try:
            self._client.batch_write(rows, self._limits(len(puts)))
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error
        results = [row.result for row in rows.batch_records]
        if failed := [result for result in results if result not in _ROW_ANSWERS]:
            code = rows.result if rows.result not in _PARTIAL else failed[0]
            raise UnavailableError(self._options.dependency, _why(code, policy))
        refused = tuple(
            RefusedRecord(put.index, f"the record of {put.entity_id!r}", _LARGEST)
            for put, result in zip(puts, results, strict=True)
            if result == _TOO_BIG
        )
        older = results.count(_FILTERED_OUT)
        return WriteCounts(len(results) - older - len(refused), older, refused)

    def _limits(self, rows: int) -> dict[str, int]:
        """Return the time limits of a batch: a server under load applies its rows one by one."""
        total_ms = self._options.write_timeout_ms * -(-rows // _ROWS_PER_LIMIT)
        return {"total_timeout": total_ms, "socket_timeout": total_ms // 2}

    def _put(self, key: _Key, bins: dict[str, Any], policy: dict[str, Any]) -> None:
        """Put one record, unless its condition fails: then a later one is there."""
        try:
            self._client.put(key, bins, policy=policy)
        except aerospike_errors.FilteredOut:
            return
        except aerospike_errors.AerospikeError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: aerospike_errors.AerospikeError) -> UnavailableError:
        return UnavailableError(self._options.dependency, reason_of_error(error))


def _row(place: tuple[str, str], put: Put, policy: Mapping[str, int]) -> Any:
    operations = [operation.write(name, value) for name, value in put.bins.items()]
    conditional = {**policy, "expressions": put.condition}
    return batch_records.Write((*place, put.key), operations, policy=conditional)


def _why(code: int, policy: Mapping[str, int]) -> str:
    if code == _FORBIDDEN and "ttl" in policy:
        return "forbidden; a time to live needs nsup-period above 0 in the namespace"
    return reason_of(code)


def _added(parts: Sequence[WriteCounts]) -> WriteCounts:
    return WriteCounts(
        sum(part.written for part in parts),
        sum(part.older for part in parts),
        tuple(each for part in parts for each in part.refused),
    )
