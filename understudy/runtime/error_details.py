"""The `google.rpc.Status` of an error: the facts of its text, for programs.

It travels in the trailer `grpc-status-details-bin`, where every gRPC language looks for it. Its
message equals the text of the call, or `grpc_status.rpc_status` and its like refuse it.
"""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from understudy.domain.errors import Fault, InvalidInputError, facts_of, failure_kind_of

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "understudy"

# Clients refuse the trailers of a call above 8 KiB, all together: grpc-java by default, grpc-core now
# and then. In them the text is sent twice, up to three bytes for each of its own, and details
# grow by a third.
_MOST_TEXT_BYTES = 1_500
_MOST_VIOLATION_BYTES = 2_500
_FRAME_BYTES = 8  # of the lengths and tags around two texts
_PLAIN = frozenset(range(0x20, 0x7F)) - {ord("%")}  # others are sent as %XX
_CUT = "…"
_READ = "read "
_ACCEPTED = "; accepted: "


def reason_of(error: BaseException) -> str:
    """Return the stable word for the kind of `error`, in the form that `google.rpc.ErrorInfo` demands."""
    return failure_kind_of(error).value.upper()


def encodable(text: str) -> str:
    """Return `text` with lone surrogates escaped, which names of files may hold and UTF-8 may not."""
    return text.encode(errors="backslashreplace").decode()


def text_within_bounds(text: str) -> str:
    """Return `text` as it can be sent, cut where the trailers of a call would become too large."""
    text, left = encodable(text), _MOST_TEXT_BYTES
    for at, character in enumerate(text):
        left -= sum(1 if byte in _PLAIN else 3 for byte in character.encode())
        if left < 0:
            return text[:at] + _CUT
    return text


def status_bytes(
    error: BaseException, status: grpc.StatusCode, text: str, *, retry_after_ms: int
) -> bytes:
    """Return the serialised `google.rpc.Status` of a call that ends with `status` and `text`.

    `retry_after_ms` is 0 if the call should not be repeated. A defect has no facts.
    """
    message = status_pb2.Status(code=status.value[0], message=text)
    facts = {name: encodable(fact) for name, fact in facts_of(error).items()}
    info = error_details_pb2.ErrorInfo(reason=reason_of(error), domain=DOMAIN, metadata=facts)
    _add(message, info)
    if retry_after_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(retry_after_ms)
        _add(message, retry)
    if violations := violations_of(error):
        request = error_details_pb2.BadRequest()
        for field, description in violations:
            request.field_violations.add(field=field, description=description)
        _add(message, request)
    serialized: bytes = message.SerializeToString()
    return serialized


def violations_of(error: BaseException) -> list[tuple[str, str]]:
    """Return the faulty fields of a request and their descriptions: the first ones, as many as fit."""
    found: list[tuple[str, str]] = []
    left = _MOST_VIOLATION_BYTES
    for fault in error.faults if isinstance(error, InvalidInputError) else ():
        cut = fault.cut()
        field = encodable(cut.field)
        description = encodable(f"{_READ}{cut.read}{_ACCEPTED}{cut.accepted}")
        left -= len(field.encode()) + len(description.encode()) + _FRAME_BYTES
        if left < 0:
            break
        found.append((field, description))
    return found


def faults_in(trailers: Iterable[Any]) -> tuple[Fault, ...]:
    """Return the faults that the details of a failed call name; none if it has no details.

    The type of trailers differs between the two kinds of gRPC clients.
    """
    packed = dict(trailers).get(DETAILS_KEY)
    if packed is None:
        return ()
    request = error_details_pb2.BadRequest()
    try:
        any(each.Unpack(request) for each in status_pb2.Status.FromString(packed).details)
    except DecodeError:  # of another server; the text of the call is still there
        return ()
    return tuple(_fault(each) for each in request.field_violations)


def _add(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _fault(violation: error_details_pb2.BadRequest.FieldViolation) -> Fault:
    read, _, accepted = violation.description.removeprefix(_READ).partition(_ACCEPTED)
    return Fault(violation.field, read, accepted)
