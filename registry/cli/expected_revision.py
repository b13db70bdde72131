"""The revision that a change is bound to: named, or shown and confirmed at a terminal."""

import sys
from collections.abc import Callable

import typer

from understudy.domain.errors import InvalidInputError, RefusedError
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.screen import Screen

_ACCEPTED = (
    "the number of the current revision, as `registry status MODEL` shows it; 0 if the model was "
    "never deployed; at a terminal it can be left out"
)


def confirmed_revision(
    plan: Callable[[], pb.ChangeDeploymentResponse],
    show: Callable[[pb.ChangeDeploymentResponse, Screen], None],
) -> int:
    """Show the plan of a change at a terminal, and return the revision that it starts from.

    Args:
        plan: makes a dry run.
        show: prints it.

    Raises:
        InvalidInputError: there is no terminal to ask at.
        RefusedError: the answer is no.
    """
    require_terminal("--expect-revision", _ACCEPTED)
    planned = plan()
    show(planned, Screen(stderr=True))  # the result of the command goes to stdout
    current = planned.from_revision
    is_at = f"is at revision {current}" if current else "was never deployed"
    model = planned.after.model or planned.before.model
    if not typer.confirm(f"{model} {is_at}. Make this change?", err=True):
        raise RefusedError("not confirmed: nothing was changed")
    return current


def require_terminal(option: str, accepted: str) -> None:
    """Check that there is a terminal to ask at, in place of an option.

    Raises:
        InvalidInputError: there is none.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInputError.of(option, read=None, accepted=accepted)
