"""The parameters of a ModelInfer request that our servers know."""

from typing import Any

from understudy.domain.errors import InvalidInputError
from understudy.domain.trace_context import (
    TRACEPARENT,
    TRACESTATE,
    TraceContext,
    trace_context_of,
)
from understudy.oip import inference_pb2 as pb

_TYPED_ANSWER_PARAMETER = "binary_data_output"  # as in the protocol's HTTP extension
_TIMEOUT_PARAMETER = "timeout"  # microseconds, as in Triton
# Of Triton's stateful models. Their callers rely on state between requests, which no server here has.
_OF_SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")


def check_no_sequence(request: pb.ModelInferRequest) -> None:
    """Refuse a request that is part of a sequence.

    Raises:
        InvalidInputError: naming the parameter.
    """
    for name in _OF_SEQUENCES:
        if name in request.parameters:
            raise InvalidInputError.of(
                f"parameters[{name}]",
                read="a request of a sequence",
                accepted="requests without state: models here keep none from one to the next",
            )


def timeout_s_of(request: pb.ModelInferRequest) -> float | None:
    """Return the request's own time limit in seconds, or None without one.

    Raises:
        InvalidInputError: it is not a number of whole microseconds.
    """
    chosen = request.parameters.get(_TIMEOUT_PARAMETER)
    if chosen is None:
        return None
    kind = chosen.WhichOneof("parameter_choice")
    timeout_us: Any = getattr(chosen, kind) if kind else "no value"
    if kind not in {"int64_param", "uint64_param"} or timeout_us < 0:
        raise InvalidInputError.of(
            f"parameters[{_TIMEOUT_PARAMETER}]",
            read=timeout_us,
            accepted="whole microseconds, int64_param or uint64_param; 0 for none",
        )
    return timeout_us / 1e6 if timeout_us else None


def wants_typed(request: pb.ModelInferRequest) -> bool:
    """Return whether the answer is to have typed contents in place of raw bytes."""
    chosen = request.parameters.get(_TYPED_ANSWER_PARAMETER)
    return (
        chosen is not None
        and chosen.WhichOneof("parameter_choice") == "bool_param"
        and not chosen.bool_param
    )


def trace_of_parameters(request: pb.ModelInferRequest) -> TraceContext | None:
    """Return the trace that the parameters `traceparent` and `tracestate` name.

    None if there is none, or an invalid one, which the standard demands to ignore.
    """
    parent = request.parameters.get(TRACEPARENT)
    if parent is None:
        return None
    state = request.parameters.get(TRACESTATE)
    return trace_context_of(parent.string_param, "" if state is None else state.string_param)
