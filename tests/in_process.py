"""Commands inside the test's process: a start of Python costs more than all else of a refusal."""

from collections.abc import Mapping

import typer
from typer.testing import CliRunner, Result


def run_command(
    app: typer.Typer,
    *words: str,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> Result:
    """Run a command to its end; `given` is its standard input, variables are added to ours."""
    bytes_in = given.encode(errors="surrogateescape")
    return CliRunner().invoke(app, words, input=bytes_in, env=dict(environment or {}))
