"""The value of `--since`: a period before now, or a point in time. Pure."""

import re
from datetime import UTC, datetime, timedelta

from understudy.domain.errors import InvalidInputError

_PERIOD = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_since(text: str, *, now: datetime, field: str = "since") -> datetime:
    """Return the time that `text` names, in UTC without a zone, as the logs store it.

    Args:
        text: "90m", "2h", "7d", or ISO 8601; a time without a zone is UTC.
        now: with a zone.
        field: the name of the option, for errors.

    Raises:
        InvalidInputError: `text` is none of these.
    """
    if period := _PERIOD.fullmatch(text):
        moment = now - _length(period)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            accepted = "90m, 2h, 7d, or a time such as 2026-11-21T08:00"
            raise InvalidInputError.of(field, read=text, accepted=accepted) from error
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)


def parse_period(text: str, *, field: str) -> timedelta:
    """Return the length of time that `text` names: "90m", "2h", "7d".

    Raises:
        InvalidInputError: `text` is none of these.
    """
    if period := _PERIOD.fullmatch(text):
        return _length(period)
    raise InvalidInputError.of(field, read=text, accepted="a length of time such as 90m, 2h or 7d")


def _length(period: re.Match[str]) -> timedelta:
    return int(period["count"]) * _UNITS[period["unit"]]
