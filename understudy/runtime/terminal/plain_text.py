"""Text from any source, made safe for a terminal."""

import re
from datetime import UTC, datetime
from enum import Enum

_LINE_ENDS = re.compile(r"\s*[\r\n]+\s*")


def harmless(text: str) -> str:
    """Return `text` with control and direction characters replaced, except line breaks."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def one_line(text: str) -> str:
    """Return `text` as one harmless line."""
    return harmless(_LINE_ENDS.sub(" ", text.strip()))


def shown(value: object) -> str:
    """Return `value` in the form of tables."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return harmless(_text(value))


def _text(value: object) -> str:
    match value:
        case float():
            return f"{value:.6g}"
        case datetime():
            return _time(value)
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def _time(moment: datetime) -> str:
    utc = moment.astimezone(UTC) if moment.tzinfo else moment  # a time without a zone is UTC
    precision = "milliseconds" if utc.microsecond else "seconds"
    return f"{utc.replace(tzinfo=None).isoformat(sep=' ', timespec=precision)}Z"
