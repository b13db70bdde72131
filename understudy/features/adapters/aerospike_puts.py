"""The writes of records to Aerospike, each with the condition under which the server applies it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from aerospike_helpers import expressions as exp

from understudy.domain.features import FeatureView
from understudy.domain.record_layouts import BinsLayout, FeastLayout
from understudy.features.adapters.aerospike_bins import BinsCodec
from understudy.features.adapters.aerospike_client import (
    CREATED_TIME_BIN,
    DIGEST_BIN,
    EVENT_TIME_BIN,
    FINGERPRINT_BIN,
    RECORD_BIN,
)
from understudy.features.adapters.aerospike_conditions import ConditionTemplate
from understudy.features.adapters.aerospike_keys import record_keys
from understudy.features.adapters.own_bins import (
    OWN_CREATED_BIN,
    OWN_EVENT_BIN,
    OWN_FINGERPRINT_BIN,
    OWN_INGESTED_BIN,
)
from understudy.features.decisions.bin_times import bin_time_of, writable_times
from understudy.features.decisions.entity_keys import StoreKey
from understudy.features.decisions.ingestion_times import ingestion_time_ms_of
from understudy.features.decisions.record_format import (
    RecordFormat,
    created_time_ms_of,
    event_time_ms_of,
    record_format,
    unpack_record,
)
from understudy.features.decisions.record_order import fingerprint_of, places_of_latest
from understudy.features.decisions.refused_record import RefusedRecord
from understudy.features.decisions.view_rules import check_writable

_MOST_ROWS = 64  # with 256 the loader takes a sixth less CPU, and waits four times as long
_MOST_BYTES = 1 << 20
_BIN_BYTES = 32  # of a number with its name and head
_ORDER_BINS = (EVENT_TIME_BIN, CREATED_TIME_BIN, FINGERPRINT_BIN)
_OWN_ORDER_BINS = (OWN_EVENT_BIN, OWN_CREATED_BIN, OWN_FINGERPRINT_BIN)


@dataclass(frozen=True, slots=True)
class Put:
    """A write of one record."""

    index: int  # among the records of the write
    entity_id: str
    key: StoreKey | None
    bins: dict[str, Any]
    condition: Any  # a compiled expression


def puts_of(
    view: FeatureView, records: Sequence[tuple[str, bytes]]
) -> tuple[list[Put], list[RefusedRecord]]:
    """Return the writes of (entity id, packed record) pairs, and those that no bin can hold.

    Raises:
        InvalidInputError: another tool writes the records of the view.
    """
    check_writable(view)
    keys = record_keys(view, [entity_id for entity_id, _ in records])
    match view.layout:
        case None:
            return _packed_puts(view, keys, records), []
        case BinsLayout():
            return _bins_puts(view, view.layout, keys, records)
        case FeastLayout():
            raise AssertionError("it is not writable")
        case _:
            assert_never(view.layout)


def batches_of(puts: Sequence[Put]) -> list[Sequence[Put]]:
    """Return the writes in batches, bounded in rows and in bytes of packed records."""
    batches: list[Sequence[Put]] = []
    start = size_bytes = 0
    for place, put in enumerate(puts):
        record = put.bins.get(RECORD_BIN)
        added_bytes = len(record) if isinstance(record, bytes) else _BIN_BYTES * len(put.bins)
        is_full = place - start == _MOST_ROWS or size_bytes + added_bytes > _MOST_BYTES
        if is_full and place > start:
            batches.append(puts[start:place])
            start, size_bytes = place, 0
        size_bytes += added_bytes
    return [*batches, puts[start:]] if puts else []


def is_newer(name: str, time: int) -> Any:
    """Return the condition that a record has no time in bin `name`, or an earlier one."""
    return exp.Or(exp.Not(exp.BinExists(name)), exp.LT(exp.IntBin(name), time))


def _packed_puts(
    view: FeatureView, keys: Sequence[StoreKey | None], records: Sequence[tuple[str, bytes]]
) -> list[Put]:
    form = record_format(view)
    digest = form.digest.hex()
    condition = ConditionTemplate(
        lambda *order: exp.Or(
            _is_later(list(zip(_ORDER_BINS, order, strict=True))),
            exp.NE(exp.StrBin(DIGEST_BIN), digest),
        ),
        len(_ORDER_BINS),
    )
    puts: list[Put] = []
    for index, (entity_id, record) in enumerate(records):
        order = _order_of(form, record)
        bins = {
            RECORD_BIN: record,
            DIGEST_BIN: digest,
            **dict(zip(_ORDER_BINS, order, strict=True)),
        }
        puts.append(Put(index, entity_id, keys[index], bins, condition.with_values(*order)))
    return puts


def _order_of(form: RecordFormat, record: bytes) -> tuple[int, int, int]:
    return (
        event_time_ms_of(form, record),
        created_time_ms_of(form, record),
        fingerprint_of(form, record),
    )


def _bins_puts(
    view: FeatureView,
    layout: BinsLayout,
    keys: Sequence[StoreKey | None],
    records: Sequence[tuple[str, bytes]],
) -> tuple[list[Put], list[RefusedRecord]]:
    form = record_format(view)
    codec = BinsCodec(view, layout)
    refused = _without_bin_time(view, layout, records)
    lost = {each.place for each in refused}
    usable = [index for index in range(len(records)) if index not in lost]
    time_bin = layout.event_time_bin
    condition = ConditionTemplate(
        lambda time, *own: _is_later_in_bins(time_bin, time, own), 1 + len(_OWN_ORDER_BINS)
    )
    puts: list[Put] = []
    for place in places_of_latest(form, [records[index] for index in usable]):
        index = usable[place]
        entity_id, record = records[index]
        own = dict(zip(_OWN_ORDER_BINS, _order_of(form, record), strict=True))
        bins = dict(codec.bins_of(unpack_record(form, record), own[OWN_EVENT_BIN]))
        test = condition.with_values(bins.get(time_bin, 0), *own.values())
        bins |= {**own, OWN_INGESTED_BIN: ingestion_time_ms_of(form, record)}
        puts.append(Put(index, entity_id, keys[index], bins, test))
    return puts, refused


def _without_bin_time(
    view: FeatureView, layout: BinsLayout, records: Sequence[tuple[str, bytes]]
) -> list[RefusedRecord]:
    """Return the records whose event time the bin for it cannot hold."""
    if not layout.event_time_bin:
        return []
    form = record_format(view)
    accepted = writable_times(layout.event_time_unit)
    refused: list[RefusedRecord] = []
    for index, (entity_id, record) in enumerate(records):
        time_ms = event_time_ms_of(form, record)
        if bin_time_of(time_ms, layout.event_time_unit) is None:
            read = f"event time {time_ms} ms of {entity_id!r}"
            refused.append(RefusedRecord(index, read, accepted))
    return refused


def _is_later_in_bins(event_time_bin: str, time: int, own: Sequence[int]) -> Any:
    """Return the condition under which a record of bins gives way, by the order of all records.

    Of equal event times, a record that another tool has written gives way: it has no created time.
    Without a bin of event times only records of our own are compared.
    """
    order = list(zip(_OWN_ORDER_BINS, own, strict=True))
    if not event_time_bin:
        return _is_later(order)
    (own_event_bin, event_time_ms), *ties = order
    is_of_others = exp.Or(
        exp.Not(exp.BinExists(own_event_bin)), exp.NE(exp.IntBin(own_event_bin), event_time_ms)
    )
    is_tie = exp.Eq(exp.IntBin(event_time_bin), time)
    return exp.Or(
        is_newer(event_time_bin, time), exp.And(is_tie, exp.Or(is_of_others, _is_later(ties)))
    )


def _is_later(order: Sequence[tuple[str, int]]) -> Any:
    """Return the condition that a record comes before `order`, bin after bin."""
    (name, value), *rest = order
    newer = is_newer(name, value)
    if not rest:
        return newer
    return exp.Or(newer, exp.And(exp.Eq(exp.IntBin(name), value), _is_later(rest)))
