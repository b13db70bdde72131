"""The layouts of a view's records in Aerospike, other than packed ones."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, assert_never

OWN_BIN_PREFIX = "_us_"  # of the bins that our loader adds to records in bins


class TimeUnit(StrEnum):
    """The unit of a time that another tool writes as a number since 1970."""

    S = "s"
    MS = "ms"
    US = "us"
    NS = "ns"


@dataclass(frozen=True, slots=True)
class BinsLayout:
    """One bin per feature, as other tools write records."""

    set_name: str
    event_time_bin: str = ""  # "" for the time of reading
    names: tuple[tuple[str, str], ...] = ()  # feature, bin; the default bin is the feature's name
    event_time_unit: TimeUnit | None = None  # None: integers are in ms, floats in s
    reads_own_times: bool = False  # created and ingestion time too; no part of the definition


class FeastKeyType(StrEnum):
    """The Feast value type of a join key."""

    STRING = "string"
    INT64 = "int64"
    INT32 = "int32"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class FeastLayout:
    """The maps that Feast's Aerospike online store writes, for entities of one join key."""

    set_name: str
    view_name: str  # Feast's name of the feature view
    join_key: str
    key_type: FeastKeyType
    names: tuple[tuple[str, str], ...] = ()  # feature, Feast's name; by default the same


RecordLayout = BinsLayout | FeastLayout


def layout_content(layout: RecordLayout | None) -> dict[str, Any]:
    """Return the members of a layout in the digested document of its view.

    Packed records have none, and neither has a unit that is not declared.
    """
    match layout:
        case None:
            return {}
        case BinsLayout():
            bins = {
                "set_name": layout.set_name,
                "event_time_bin": layout.event_time_bin,
                "names": [list(pair) for pair in layout.names],
            }
            unit = layout.event_time_unit
            return {"bins": bins if unit is None else {**bins, "event_time_unit": unit.value}}
        case FeastLayout():
            return {
                "feast": {
                    "set_name": layout.set_name,
                    "view_name": layout.view_name,
                    "join_key": layout.join_key,
                    "key_type": layout.key_type.value,
                    "names": [list(pair) for pair in layout.names],
                }
            }
        case _:
            assert_never(layout)


def layout_from_content(content: dict[str, Any]) -> RecordLayout | None:
    """Return the layout in the document of a view that `layout_content` wrote."""
    if bins := content.get("bins"):
        return BinsLayout(
            set_name=bins["set_name"],
            event_time_bin=bins["event_time_bin"],
            event_time_unit=TimeUnit(unit) if (unit := bins.get("event_time_unit")) else None,
            names=_pairs(bins["names"]),
        )
    if feast := content.get("feast"):
        return FeastLayout(
            set_name=feast["set_name"],
            view_name=feast["view_name"],
            join_key=feast["join_key"],
            key_type=FeastKeyType(feast["key_type"]),
            names=_pairs(feast["names"]),
        )
    return None


def _pairs(content: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((feature, name) for feature, name in content)
