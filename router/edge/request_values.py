"""Values of requests and of their metadata in plain Python, and the sizes that are accepted."""

from collections.abc import Mapping
from typing import Any

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.features import FeatureScalar
from understudy.domain.trace_context import (
    TRACEPARENT,
    TRACESTATE,
    TraceContext,
    trace_context_among,
)
from understudy.domain.wire_counts import ANY_SIZE
from understudy.runtime.front.context import AsgiContext

MOST_IN_A_REQUEST = {"entities": 32, "features": 4096, "outputs": 64}  # entries
ANY_TEXT = {"features.value.text": ANY_SIZE}  # bytes: a feature may be a document


def check_sizes(request: Any, most: Mapping[str, int]) -> None:
    """Refuse repeated fields with too many entries before reading any of them.

    Raises:
        InvalidInputError: with each field that has too many.
    """
    faults = [
        Fault(field, f"{len(getattr(request, field))} entries", f"at most {largest}")
        for field, largest in most.items()
        if len(getattr(request, field)) > largest
    ]
    if faults:
        raise InvalidInputError(faults)


def scalars(features: Any) -> dict[str, FeatureScalar]:
    """Return a map of FeatureValue as plain values; an unset one is refused.

    Raises:
        InvalidInputError: a value has no kind.
    """
    plain: dict[str, FeatureScalar] = {}
    for name, value in features.items():
        kind = value.WhichOneof("kind")
        if kind is None:
            raise InvalidInputError.of(
                f"features[{name}]", read="no value", accepted="number, integer, string or boolean"
            )
        plain[name] = getattr(value, kind)
    return plain


def text_of(request: Any, field: str) -> str | None:
    """Return the text of an `optional` field, or None if it is not set."""
    text: str = getattr(request, field)
    return text or ("" if request.HasField(field) else None)


def texts(entries: Any) -> dict[str, str]:
    """Return a map of texts."""
    # Twice as fast as dict(): protobuf's maps are slow to iterate as mappings.
    return {name: entries[name] for name in entries}


def trace_of(context: Any) -> TraceContext | None:
    """Return the context that the caller sent; None if there is none, or an invalid one.

    A call without one costs a look at each of its headers, and nothing else.
    """
    parents = _header_texts(context, TRACEPARENT)
    return trace_context_among(parents, _header_texts(context, TRACESTATE)) if parents else None


def _header_texts(context: Any, name: str) -> list[str]:
    if isinstance(context, AsgiContext):
        return context.texts_of(name)
    return [str(value) for key, value in context.invocation_metadata() if key == name]
