"""Commands inside the test's process: a start of Python costs more than all else of a refusal."""

import os
from collections.abc import Mapping

import typer
from typer.testing import CliRunner, Result


def run_command(
    app: typer.Typer,
    *words: str,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> Result:
    """Run a command to its end; `given` is its standard input, variables are added to ours.

    The mask that the command sets ends with it, also where a fixture of many tests runs it.
    """
    bytes_in = given.encode(errors="surrogateescape")
    before = os.umask(0o077)
    os.umask(before)
    try:
        return CliRunner().invoke(app, words, input=bytes_in, env=dict(environment or {}))
    finally:
        os.umask(before)
