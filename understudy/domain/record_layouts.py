"""The layouts of a view's records in Aerospike, other than packed ones."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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

    @property
    def canonical_content(self) -> dict[str, Any]:
        """The members in digested documents; a unit that is not declared is left out."""
        content = {
            "set_name": self.set_name,
            "event_time_bin": self.event_time_bin,
            "names": [list(pair) for pair in self.names],
        }
        unit = self.event_time_unit
        return content if unit is None else {**content, "event_time_unit": unit.value}


RecordLayout = BinsLayout


def bins_from_content(content: dict[str, Any]) -> BinsLayout:
    """Return the layout that `BinsLayout.canonical_content` wrote."""
    return BinsLayout(
        set_name=content["set_name"],
        event_time_bin=content["event_time_bin"],
        event_time_unit=TimeUnit(unit) if (unit := content.get("event_time_unit")) else None,
        names=tuple((feature, name) for feature, name in content["names"]),
    )
