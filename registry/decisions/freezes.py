"""Times at which deployments are frozen: weekly windows and periods, in UTC. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from understudy.domain.errors import Fault, InvalidInputError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTES_PER_DAY = 1_440
_MINUTES_PER_WEEK = 7 * _MINUTES_PER_DAY
_MOMENT = rf"({'|'.join(_DAYS)}) ([01]\d|2[0-3]):([0-5]\d)"
_WEEKLY = re.compile(rf"{_MOMENT}-{_MOMENT}")
_ACCEPTED = "'Fri 16:00-Mon 08:00' each week, or '2026-12-20T00:00/2027-01-02T00:00', in UTC, separated by ;"


@dataclass(frozen=True, slots=True)
class WeeklyFreeze:
    """A window of each week; it may reach over the end of the week."""

    text: str  # as an operator wrote it
    begins_min: int  # minutes since Monday 00:00 UTC
    ends_min: int

    def contains(self, at: datetime) -> bool:
        moment = at.astimezone(UTC)
        minute = moment.weekday() * _MINUTES_PER_DAY + moment.hour * 60 + moment.minute
        lasts_min = (self.ends_min - self.begins_min) % _MINUTES_PER_WEEK
        return (minute - self.begins_min) % _MINUTES_PER_WEEK < lasts_min


@dataclass(frozen=True, slots=True)
class FreezePeriod:
    """One period of the calendar."""

    text: str  # as an operator wrote it
    begins: datetime
    ends: datetime

    def contains(self, at: datetime) -> bool:
        return self.begins <= at < self.ends


Freeze = WeeklyFreeze | FreezePeriod


def read_freezes(text: str, field: str = "freezes") -> tuple[Freeze, ...]:
    """Return the windows and periods that a setting lists.

    Raises:
        InvalidInputError: one of them has another form, or would never act; all faults reported.
    """
    faults: list[Fault] = []
    found: list[Freeze] = []
    for index, each in enumerate(part.strip() for part in text.split(";")):
        freeze = _weekly(each) or _period(each)
        if freeze is None:
            faults.append(Fault.of(f"{field}[{index}]", read=each, accepted=_ACCEPTED))
        else:
            found.append(freeze)
    if faults:
        raise InvalidInputError(faults)
    return tuple(found)


def _weekly(text: str) -> WeeklyFreeze | None:
    match = _WEEKLY.fullmatch(text)
    if match is None:
        return None
    begins_min, ends_min = _minute(*match.groups()[:3]), _minute(*match.groups()[3:])
    return WeeklyFreeze(text, begins_min, ends_min) if begins_min != ends_min else None


def _minute(day: str, hour: str, minute: str) -> int:
    return _DAYS.index(day) * _MINUTES_PER_DAY + int(hour) * 60 + int(minute)


def _period(text: str) -> FreezePeriod | None:
    try:
        begins, ends = (_utc(datetime.fromisoformat(each)) for each in text.split("/"))
    except ValueError:
        return None
    return FreezePeriod(text, begins, ends) if begins < ends else None


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
