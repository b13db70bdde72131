"""The places of records in Aerospike: namespace, set and key."""

from collections.abc import Sequence

from understudy.domain.features import FeatureView
from understudy.domain.record_layouts import FeastLayout
from understudy.features.adapters.aerospike_client import LOADS_SET, AerospikeOptions
from understudy.features.adapters.aerospike_feast import feast_keys
from understudy.features.decisions.entity_keys import StoreKey, store_keys

_LONGEST_SET_NAME = 63


def set_of(options: AerospikeOptions, view: FeatureView) -> str:
    """Return the set that holds a view's records."""
    if view.layout is not None:
        return view.layout.set_name
    name = f"{options.set_prefix}{view.name}.{view.version}"
    if view.family:
        name += f".{view.family}"
    if len(name) <= _LONGEST_SET_NAME:
        return name
    return f"{name[: _LONGEST_SET_NAME - 17]}.{view.digest[:16]}"


def place_of(options: AerospikeOptions, view: FeatureView) -> tuple[str, str]:
    """Return the namespace and the set of a view's records."""
    return (view.namespace or options.namespace, set_of(options, view))


def record_keys(view: FeatureView, ids: Sequence[str | None]) -> Sequence[StoreKey | None]:
    """Return the key of each entity's record, with None for an id that no record can have."""
    keys = store_keys(view.key, ids)
    return feast_keys(view.layout, keys) if isinstance(view.layout, FeastLayout) else keys


def newest_key(options: AerospikeOptions, view: FeatureView) -> tuple[str, str, str]:
    """Return the key of the newest event time among a view's records."""
    return (options.namespace, options.set_prefix + LOADS_SET, f"newest:{view}")
