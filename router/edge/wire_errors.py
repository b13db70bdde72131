"""The failure of a part of a call as a message, with the facts that a call of its own would carry."""

from understudy.runtime.error_details import reason_of, violations_of
from understudy.runtime.grpc_errors import detail_of, retry_after_ms_of, status_of
from understudy.scoring.v1 import scoring_pb2 as pb


def error_message(error: Exception) -> pb.Error:
    """Return the message of `error`; the text of a defect is not in it."""
    return pb.Error(
        code=status_of(error).value[0],
        message=detail_of(error),
        retry_after_ms=retry_after_ms_of(error) or None,
        reason=reason_of(error),
        field_violations=[
            pb.FieldViolation(field=field, description=description)
            for field, description in violations_of(error)
        ],
    )
