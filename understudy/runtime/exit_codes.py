"""Exit codes of all commands and processes; docs/reference/commands.md explains them.

From 64 on they are the codes of sysexits.h.
"""

from understudy.domain.errors import (
    AnsweredError,
    CheckFailedError,
    ConflictError,
    CorruptedError,
    DeadlinePassedError,
    InconclusiveError,
    InvalidInputError,
    LaggingError,
    NotFoundError,
    OverloadedError,
    PermissionRefusedError,
    RefusedError,
    UnauthenticatedError,
    UnavailableError,
    UnderstudyError,
)

OK = 0
FAILED = 1  # a failure, or a check or audit with findings
REFUSED = 2  # not allowed by a rule or the current state
INCONCLUSIVE = 3  # too little data to decide
USAGE = 64  # EX_USAGE: invalid arguments, settings or files; nothing was done
ARTIFACT_REFUSED = 65  # EX_DATAERR: only `scorer serve`, for its host: a restart cannot help
UNAVAILABLE = 69  # EX_UNAVAILABLE: a service or a port is not available, or lags
CONFLICT = 75  # EX_TEMPFAIL: another change came first; read the state and decide again
NOT_PERMITTED = 77  # EX_NOPERM: the caller lacks the permission, or proves no name
INTERRUPTED = 130  # Ctrl-C before the work was done

_CODE_OF: dict[type[UnderstudyError], int] = {
    InvalidInputError: USAGE,
    NotFoundError: USAGE,
    ConflictError: CONFLICT,
    RefusedError: REFUSED,
    PermissionRefusedError: NOT_PERMITTED,
    UnauthenticatedError: NOT_PERMITTED,
    OverloadedError: UNAVAILABLE,
    DeadlinePassedError: UNAVAILABLE,
    UnavailableError: UNAVAILABLE,
    LaggingError: UNAVAILABLE,
    CorruptedError: FAILED,
    CheckFailedError: FAILED,
    InconclusiveError: INCONCLUSIVE,
    AnsweredError: FAILED,
}


def exit_code_of(error: UnderstudyError) -> int:
    """Return the exit code of a command that ends with `error`."""
    return next((_CODE_OF[kind] for kind in type(error).__mro__ if kind in _CODE_OF), FAILED)
