"""Times of rows in UTC milliseconds, by the same rule for loading, history and audit."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from understudy.domain.errors import InvalidInputError
from understudy.features.decisions.arrow_columns import plain

ACCEPTED_TIME = "a timestamp, e.g. 2026-11-21T01:00:00Z"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EARLIEST_US = -62_135_596_800_000_000  # the start of the year 1
_LATEST_US = 253_402_300_799_999_999  # the end of the year 9999
_UNITS_US = {
    "day": 86_400_000_000,
    "s": 1_000_000,
    "ms": 1000,
    "us": 1,
}  # longer than or equal to 1 us
_NS_PER_US = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """The times of n rows; 0 if there is no usable one."""

    us: npt.NDArray[np.int64]  # UTC since 1970
    unusable: npt.NDArray[np.bool_]

    @property
    def ms(self) -> npt.NDArray[np.int64]:
        """The times in whole milliseconds, truncated, so that equal times stay equal."""
        return np.floor_divide(self.us, 1000)


def times_of(column: pa.Array | pa.ChunkedArray) -> Times:
    """Return the times in a column: timestamps, dates, or text in ISO 8601.

    A time without a zone is in UTC. Finer times are truncated to the microsecond.
    """
    array = plain(column)
    kind = array.type
    if pa.types.is_string(kind):
        return _known([_us_of_text(text) for text in array.to_pylist()])
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return Times(np.zeros(len(array), dtype=np.int64), np.ones(len(array), dtype=np.bool_))
    units = array.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64())
    ticks = units.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    unit = "day" if pa.types.is_date32(kind) else "ms" if pa.types.is_date(kind) else kind.unit
    if unit == "ns":
        us = np.floor_divide(ticks, _NS_PER_US)
    else:
        factor = _UNITS_US[unit]
        # Beyond the calendar the product could wrap around to a valid time.
        us = np.clip(ticks, _EARLIEST_US // factor - 1, _LATEST_US // factor + 1) * factor
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    usable = valid & (us >= _EARLIEST_US) & (us <= _LATEST_US)
    return Times(np.where(usable, us, 0), ~usable)


def text_of_ms(ms: int) -> str:
    """Return a time as text for a message."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")


def check_not_future(time_ms: int, latest_ms: int) -> None:
    """Check the single event time of many rows.

    Raises:
        InvalidInputError: it is later than `latest_ms`.
    """
    if time_ms > latest_ms:
        accepted = not_future(latest_ms)
        raise InvalidInputError.of("event time", read=text_of_ms(time_ms), accepted=accepted)


def not_future(latest_ms: int) -> str:
    """Describe the accepted times for a message."""
    return f"a time that is not in the future: up to {text_of_ms(latest_ms)}"


def _known(found: list[int | None]) -> Times:
    unusable = np.array([each is None for each in found], dtype=np.bool_)
    return Times(np.array([each or 0 for each in found], dtype=np.int64), unusable)


def _us_of_text(text: str | None) -> int | None:
    if text is None or not text.isascii():
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    us = (aware - _EPOCH) // _MICROSECOND
    return us if _EARLIEST_US <= us <= _LATEST_US else None
