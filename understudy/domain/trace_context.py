"""W3C Trace Context: the trace of a caller, of which a call is a part.

Source: W3C Recommendation "Trace Context", level 1 (2021), sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_MOST_STATE_CHARACTERS = 512  # the standard demands no more
_MOST_STATE_MEMBERS = 32
_SAMPLED = 1
_FIELDS = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_INVALID_VERSION = "ff"
_MEMBER = re.compile(
    r"[ \t]*(?:[a-z0-9][a-z0-9_\-*/]{0,240}@)?[a-z0-9][a-z0-9_\-*/]{0,255}"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e][ \t]*"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A caller's span, the parent of ours."""

    trace_id: str  # 32 hexadecimal digits in lower case, not all zero
    parent_id: str  # of the caller's span: 16 such digits
    flags: int = 0  # 0 to 255
    state: str = ""  # of tracing systems, as sent

    @property
    def is_sampled(self) -> bool:
        """Return whether the caller records the trace."""
        return bool(self.flags & _SAMPLED)

    @property
    def traceparent(self) -> str:
        """Return the header, in version 00."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.flags:02x}"


def trace_context_of(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """Return the context of two headers; None if `traceparent` is invalid, as the standard demands.

    Args:
        traceparent: the header's value.
        tracestate: the values of all such headers, joined by commas. An invalid or a long one is
            left out; the rest of the context counts all the same.
    """
    match = _FIELDS.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, parent_id, flags, later = match.groups()
    is_known = version == "00"
    if version == _INVALID_VERSION or (is_known and later is not None):
        return None
    if not (trace_id.strip("0") and parent_id.strip("0")):
        return None
    number = int(flags, 16)
    # Flags of later versions have an unknown meaning, apart from this one.
    return TraceContext(
        trace_id, parent_id, number if is_known else number & _SAMPLED, _state_of(tracestate)
    )


def trace_context_of_metadata(metadata: Sequence[tuple[str, Any]]) -> TraceContext | None:
    """Return the context that a call's metadata names; see `trace_context_among`."""
    parents = [str(value) for key, value in metadata if key == TRACEPARENT]
    if not parents:  # nearly always: nothing more is looked at
        return None
    states = [str(value) for key, value in metadata if key == TRACESTATE]
    return trace_context_among(parents, states)


def trace_context_among(parents: Sequence[str], states: Sequence[str]) -> TraceContext | None:
    """Return the context of all headers `traceparent` and `tracestate` of a call.

    None if there is no `traceparent`, or more than one, which is ambiguous.
    """
    return trace_context_of(parents[0], ",".join(states)) if len(parents) == 1 else None


def _state_of(tracestate: str) -> str:
    if len(tracestate) > _MOST_STATE_CHARACTERS:
        return ""
    members = [member for member in tracestate.split(",") if member.strip(" \t")]
    if len(members) > _MOST_STATE_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return ",".join(member.strip(" \t") for member in members)
