"""What the commands have in common: their options, and how an expected failure ends them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from registry.cli.output import Format
from understudy.domain.errors import (
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UnderstudyError,
)
from understudy.runtime.exit_codes import REFUSED, UNAVAILABLE, USAGE

Registry = Annotated[
    str, typer.Option("--registry", envvar="UNDERSTUDY_REGISTRY", help="HOST:PORT of the registry")
]
Actor = Annotated[
    str | None, typer.Option("--actor", envvar="UNDERSTUDY_ACTOR", help="who acts [user@host]")
]
Output = Annotated[Format, typer.Option("--output", help="table or json")]
Reason = Annotated[str, typer.Option("--reason", help="why; goes to the audit log")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would change, change nothing")]
Expect = Annotated[
    int | None,
    typer.Option("--expect-revision", min=0, help="refuse unless this is the current revision"),
]
Model = Annotated[str, typer.Argument(help="name of the model")]
AnyModel = Annotated[str, typer.Argument(help="name of the model [all]")]
ModelOrVersion = Annotated[str, typer.Argument(help="MODEL, or MODEL@NUMBER with nothing after it")]
Number = Annotated[str | None, typer.Argument(help="version: 7 or MODEL@7")]


@contextmanager
def expected_failures() -> Iterator[None]:
    """Turn an expected failure into one line on stderr and its exit code."""
    try:
        yield
    except UnderstudyError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_exit_code(error)) from error


def _exit_code(error: UnderstudyError) -> int:
    if isinstance(error, UnavailableError):
        return UNAVAILABLE
    # What the registry itself answers has other classes: these two are about the command's words.
    return USAGE if isinstance(error, InvalidInputError | NotFoundError) else REFUSED
