"""Records of Feast's Aerospike online store, which are read and never written.

The layout is that of Feast 0.66 (commit f0bc0700), `aerospike_online_store/aerospike.py` and
`key_encoding_utils.py` below `sdk/python/feast/infra/`:

- the key is `serialize_entity_key`, version 3, as bytes;
- bin `features` is a map by feature view of maps by feature, of native values;
- bin `event_ts` is a map by feature view of UTC milliseconds.
"""

from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any, assert_never

from understudy.domain.features import FeatureView
from understudy.domain.record_layouts import BinsLayout, FeastKeyType, FeastLayout, TimeUnit
from understudy.features.adapters.aerospike_bins import Bins, BinsCodec
from understudy.features.decisions.entity_keys import StoreKey

_FEATURES, _EVENT_TIMES = "features", "event_ts"
_EVENT_TIME = "\0event_ts"  # beside the features of one view; no feature has this name
_UNREADABLE = "none"
_VALUE_TYPES = {  # numbers of Feast's `ValueType.Enum`
    FeastKeyType.BYTES: 1,
    FeastKeyType.STRING: 2,
    FeastKeyType.INT32: 3,
    FeastKeyType.INT64: 4,
}
_INT32_LIMIT = 2**31


class FeastCodec:
    """Converts the records of one view from Feast's maps to the packed format."""

    bins = (_FEATURES, _EVENT_TIMES)

    def __init__(self, view: FeatureView, layout: FeastLayout) -> None:
        self._view_name = layout.view_name
        inner = BinsLayout("", _EVENT_TIME, layout.names, TimeUnit.MS)
        self._codec = BinsCodec(view, inner)

    def packed(self, records: Sequence[Bins], *, now_ms: int) -> tuple[Sequence[bytes | None], int]:
        """Return the packed records, None where this view has none, and the unusable values."""
        found = [self._bins_of(record) for record in records]
        packed, unusable = self._codec.packed(
            [each for each in found if each is not None], now_ms=now_ms
        )
        rows = iter(packed)
        return [None if each is None else next(rows) for each in found], unusable

    def _bins_of(self, record: Bins) -> Bins | None:
        """Return the features of this view and their event time, or None if it has no slot."""
        views, times = record.get(_FEATURES), record.get(_EVENT_TIMES)
        values = views.get(self._view_name) if isinstance(views, Mapping) else None
        if not isinstance(values, Mapping):
            return None
        # Feast writes a null as nil. It always writes a time, so a missing one cannot be read.
        bins: dict[Any, Any] = {name: value for name, value in values.items() if value is not None}
        time_ms = times.get(self._view_name) if isinstance(times, Mapping) else None
        bins[_EVENT_TIME] = _UNREADABLE if time_ms is None else time_ms
        return bins


def feast_keys(layout: FeastLayout, keys: Sequence[StoreKey | None]) -> list[bytearray | None]:
    """Return the keys under which Feast keeps the entities with these values of the join key."""
    name = layout.join_key.encode()
    head = pack("<III", 1, _VALUE_TYPES[FeastKeyType.STRING], len(name)) + name
    found: list[bytearray | None] = []
    for key in keys:
        value = None if key is None else _key_value(layout.key_type, key)
        found.append(
            None
            if value is None
            else bytearray(head + pack("<II", _VALUE_TYPES[layout.key_type], len(value)) + value)
        )
    return found


def _key_value(key_type: FeastKeyType, key: StoreKey) -> bytes | None:
    match key:
        case str():
            return key.encode()
        case bytearray():
            return bytes(key)
        case int() if key_type is FeastKeyType.INT32:
            return pack("<i", key) if -_INT32_LIMIT <= key < _INT32_LIMIT else None
        case int():
            return pack("<q", key)
        case _:
            assert_never(key)
