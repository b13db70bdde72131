"""What all commands do alike: exit codes. Wrong words end with 64, never with a refusal's 2.

`typer.Typer(cls=CommandGroup, …)` is all a package does; what is mounted below is covered too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer._click.exceptions import UsageError  # typer shows no public name for it
from typer.core import TyperGroup

from understudy.domain.errors import (
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UnderstudyError,
)
from understudy.runtime.exit_codes import DATA_ERROR, FAILED, UNAVAILABLE, USAGE


class CommandGroup(TyperGroup):
    """Ends with `USAGE` at an unknown command or option, a missing one or a bad value."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _usage_told():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _usage_told():  # the words of subcommands are read in here
            return super().invoke(ctx)


@contextmanager
def _usage_told() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        error.exit_code = USAGE
        raise


def exit_code_of(error: UnderstudyError) -> int:
    """Return the exit code of a command on local data that ended with `error`."""
    match error:
        case InvalidInputError():
            return DATA_ERROR
        case NotFoundError():
            return USAGE
        case UnavailableError():
            return UNAVAILABLE
        case _:
            return FAILED
