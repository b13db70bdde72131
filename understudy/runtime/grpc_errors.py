"""The table from our errors to gRPC statuses and back. The text of a bug never reaches a caller."""

from collections.abc import Callable
from typing import Any, NoReturn

import grpc
import structlog

from understudy.domain.errors import (
    AnsweredError,
    ConflictError,
    CorruptedError,
    DeadlinePassedError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PermissionRefusedError,
    RefusedError,
    UnavailableError,
    UnderstudyError,
)

# The trailer by which gRPC clients know when to retry; grpc-core's retry policy honours it too.
PUSHBACK_KEY = "grpc-retry-pushback-ms"

_STATUS_OF: dict[type[UnderstudyError], grpc.StatusCode] = {
    InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    ConflictError: grpc.StatusCode.ABORTED,
    RefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    PermissionRefusedError: grpc.StatusCode.PERMISSION_DENIED,
    OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlinePassedError: grpc.StatusCode.DEADLINE_EXCEEDED,
    UnavailableError: grpc.StatusCode.UNAVAILABLE,
    CorruptedError: grpc.StatusCode.DATA_LOSS,
}

_ERROR_OF: dict[grpc.StatusCode, Callable[[str], UnderstudyError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInputError.answered,
    grpc.StatusCode.NOT_FOUND: NotFoundError.answered,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: RefusedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionRefusedError,
    grpc.StatusCode.UNAUTHENTICATED: PermissionRefusedError,
    grpc.StatusCode.DATA_LOSS: CorruptedError,
    grpc.StatusCode.INTERNAL: AnsweredError,
    grpc.StatusCode.UNKNOWN: AnsweredError,
}

_log = structlog.get_logger()


def status_of(error: BaseException) -> grpc.StatusCode:
    """Return the status for `error`; INTERNAL for anything that we did not raise on purpose."""
    for kind in type(error).__mro__:
        if kind in _STATUS_OF:
            return _STATUS_OF[kind]
    return grpc.StatusCode.INTERNAL


def error_of(status: grpc.StatusCode, details: str | None, *, dependency: str) -> UnderstudyError:
    """Return the error of a call to `dependency` that ended with `status`.

    Statuses without a class of their own (a deadline, a full server, an unknown method) mean that
    the dependency is unavailable.
    """
    kind = _ERROR_OF.get(status)
    if kind is not None:
        return kind(details or f"{dependency} answered {status.name}")
    why = details or "no reason given"
    is_away = status is grpc.StatusCode.UNAVAILABLE
    return UnavailableError(dependency, why if is_away else f"{status.name}: {why}")


def detail_of(error: BaseException) -> str:
    """Return text that is safe to show to a caller: ours verbatim, a bug's never."""
    return str(error) if isinstance(error, UnderstudyError) else "internal error"


def retry_after_ms_of(error: BaseException) -> int:
    """Return when a retry may help, in milliseconds from now; 0 if it should not be retried."""
    return error.retry_after_ms if isinstance(error, OverloadedError) else 0


async def abort_with(
    context: grpc.aio.ServicerContext[Any, Any], error: Exception, *, rpc: str
) -> NoReturn:
    """End the call with the status of `error`; a bug is logged with its stack trace."""
    status = status_of(error)
    if status is grpc.StatusCode.INTERNAL:
        _log.error("rpc_failed", rpc=rpc, status=status.name, exc_info=error)
    pushback_ms = retry_after_ms_of(error)
    trailers = ((PUSHBACK_KEY, str(pushback_ms)),) if pushback_ms else ()
    await context.abort(status, detail_of(error), trailers)
