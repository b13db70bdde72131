"""Instants as whole nanoseconds since 1970, the form in which rows and messages have them."""

from datetime import datetime


def unix_ns(at: datetime) -> int:
    """Return `at`, which has a time zone, in nanoseconds since 1970; exact to a microsecond."""
    return round(at.timestamp() * 1e9)
