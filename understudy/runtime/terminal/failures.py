"""Reports of failed commands on stderr: lines for people, or one JSON object for programs."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from understudy.domain.errors import (
    AnsweredError,
    CheckFailedError,
    ConflictError,
    CorruptedError,
    DeadlinePassedError,
    Fault,
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
from understudy.runtime.exit_codes import exit_code_of
from understudy.runtime.terminal.json_output import json_text
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.plain_text import one_line

ErrorT = TypeVar("ErrorT", bound=BaseException)
_KIND_OF: dict[type[UnderstudyError], str] = {
    InvalidInputError: "invalid_input",
    NotFoundError: "not_found",
    ConflictError: "conflict",
    RefusedError: "refused",
    PermissionRefusedError: "not_permitted",
    UnauthenticatedError: "unauthenticated",
    OverloadedError: "overloaded",
    DeadlinePassedError: "deadline_passed",
    LaggingError: "lagging",
    UnavailableError: "unavailable",
    CorruptedError: "corrupted",
    CheckFailedError: "check_failed",
    InconclusiveError: "inconclusive",
    AnsweredError: "failed",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed command, as it is reported to people and programs."""

    kind: str  # a stable identifier, for programs
    lines: tuple[str, ...]
    exit_code: int
    faults: tuple[Fault, ...] = ()


def failure_of(error: UnderstudyError) -> Failure:
    """Return the report of `error`, including notes that callers added to it."""
    kind = next((_KIND_OF[each] for each in type(error).__mro__ if each in _KIND_OF), "failed")
    faults = error.faults if isinstance(error, InvalidInputError | CheckFailedError) else ()
    lines = tuple(f"{each.field}: read {each.read}; accepted: {each.accepted}" for each in faults)
    message = "; ".join([str(error), *getattr(error, "__notes__", [])])
    return Failure(kind, lines or (message,), exit_code_of(error), faults)


def failure_of_several(errors: BaseExceptionGroup[UnderstudyError]) -> Failure:
    """Return one failure for all of `errors`, with the kind and code of the highest exit code."""
    parts = [failure_of(each) for each in leaves(errors)]
    worst = max(parts, key=lambda part: part.exit_code)
    return Failure(
        worst.kind,
        tuple(line for part in parts for line in part.lines),
        worst.exit_code,
        tuple(fault for part in parts for fault in part.faults),
    )


def leaves(errors: BaseExceptionGroup[ErrorT]) -> Iterator[ErrorT]:
    """Yield the errors of a group of groups."""
    for each in errors.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each


def report(failure: Failure, output: Format) -> None:
    """Write `failure` to stderr: a line per fault, or one line of JSON.

    stdout may already contain the result of a check that found faults.
    """
    if output is Format.JSON:
        content = {
            "kind": failure.kind,
            "message": "; ".join(failure.lines),
            "faults": failure.faults,
            "exit_code": failure.exit_code,
        }
        print(json_text(content), file=sys.stderr)  # noqa: T201 - the report
        return
    for line in failure.lines:
        print(f"understudy: {one_line(line)}", file=sys.stderr)  # noqa: T201 - as above
