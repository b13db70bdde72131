"""The boundary of every command and process: umask, reports of failures and exit codes.

A package passes `cls=CommandGroup` to `typer.Typer`; its commands raise our errors.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from typer._click.exceptions import UsageError  # typer has no public name for it
from typer.core import TyperGroup

from understudy.domain.errors import UnderstudyError
from understudy.runtime.exit_codes import FAILED, OK
from understudy.runtime.terminal.failures import Failure, failure_of, failure_of_several, report
from understudy.runtime.terminal.output_option import requested_format

_OURS_ALONE = 0o077  # files of a command or a process are accessible only to its user
DEBUG = "UNDERSTUDY_DEBUG"


class CommandGroup(TyperGroup):
    """Reports failures on stderr and ends the process with their exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - typer's signature
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002 - as above
        **extra: Any,
    ) -> Any:
        arguments = sys.argv[1:] if args is None else list(args)
        os.umask(_OURS_ALONE)
        try:
            result = super().main(
                arguments,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except Exception as error:
            if not standalone_mode:
                raise
            failure = _failure(error)
            report(failure, requested_format(arguments))
            sys.exit(failure.exit_code)
        if not standalone_mode:
            return result
        sys.exit(result if isinstance(result, int) else OK)


def _failure(error: Exception) -> Failure:
    match error:
        case UnderstudyError():
            return failure_of(error)
        case UsageError():
            # Imported late: valid command lines start faster without it.
            from understudy.runtime.terminal.usage_errors import as_invalid_input  # noqa: PLC0415

            return failure_of(as_invalid_input(error))
        case ExceptionGroup():
            ours, others = error.split(UnderstudyError)
            return failure_of_several(ours) if ours and not others else _bug(error)
        case OSError(filename=str(path)):  # a full disk, a missing permission
            return Failure("failed", (f"{path}: {error.strerror}",), FAILED)
        case _:
            return _bug(error)


def _bug(error: Exception) -> Failure:
    """Report a bug in one line; its stack trace goes to the log, or to a terminal on request."""
    import structlog  # noqa: PLC0415 - slow, and rarely needed

    if structlog.is_configured():
        structlog.get_logger().error("process_failed", exc_info=error)
        where = "the stack trace is in the log"
    elif os.environ.get(DEBUG):
        traceback.print_exception(error)
        where = "the stack trace is above"
    else:
        where = f"run it again with {DEBUG}=1 for the stack trace"
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure("unexpected", (f"a bug in Understudy: {summary} ({where})",), FAILED)
