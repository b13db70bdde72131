"""Event times in a bin that another tool writes: numbers in a unit that the view declares.

A number says nothing of its unit: 1,764,000,000 is November 2025 in seconds, and 21 January 1970 in
milliseconds. Readable times therefore span three decades of milliseconds, from March 1973 to
November 5138: read in another unit, which differs by a factor of at least 1000, each of them lies
outside, so a wrong unit makes a time unknown and never another time.
"""

from typing import Final

from understudy.domain.record_layouts import TimeUnit

_EARLIEST_MS: Final = 10**11
_END_MS: Final = 10**14
_PER_S: Final = {TimeUnit.S: 1, TimeUnit.MS: 1000, TimeUnit.US: 10**6, TimeUnit.NS: 10**9}
READABLE_TIMES: Final = "an event time from 1973-03-03 to 5138-11-16"


def bin_time_ms(value: object, unit: TimeUnit | None) -> int | None:
    """Return the event time that a bin holds, UTC milliseconds, or None if it cannot be read.

    Args:
        value: the content of the bin.
        unit: of the number; None for the convention of integer milliseconds and float seconds.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    per_s = _PER_S[unit or (TimeUnit.MS if isinstance(value, int) else TimeUnit.S)]
    # Compared in the unit of the bin, because the conversion of a large float may overflow.
    if not _EARLIEST_MS * per_s <= value * 1000 < _END_MS * per_s:
        return None
    return value * 1000 // per_s if isinstance(value, int) else round(value * 1000 / per_s)


def bin_time_of(time_ms: int, unit: TimeUnit | None) -> int | None:
    """Return the number for a bin from which `bin_time_ms` reads `time_ms`; None if there is none."""
    value, rest = divmod(time_ms * _PER_S[unit or TimeUnit.MS], 1000)
    return value if not rest and bin_time_ms(value, unit) == time_ms else None


def writable_times(unit: TimeUnit | None) -> str:
    """Describe the event times for which `bin_time_of` has a number, for a message."""
    whole = " in whole seconds, the unit of the bin" if unit is TimeUnit.S else ""
    return f"{READABLE_TIMES}{whole}"
