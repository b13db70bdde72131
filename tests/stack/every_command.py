"""All commands of `understudy`, found by walking them, and one way to call them."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.testing import CliRunner, Result

from stack.__main__ import app

# What our own processes start: options are passed by programs, never by people.
_INTERNAL = {("router", "worker"), ("router", "ship")}


def all_commands() -> dict[tuple[str, ...], Any]:
    """Return every command by its words, e.g. ("registry", "provenance", "init")."""
    root: Any = typer.main.get_command(app)
    with root.make_context("understudy", ["score"], resilient_parsing=True) as context:
        return dict(_commands(root, context, ()))


def _commands(
    command: Any, context: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "list_commands"):
        if path not in _INTERNAL:
            yield path, command
        return
    for name in command.list_commands(context):
        _, below, _ = command.resolve_command(context, [name])
        yield from _commands(below, context, (*path, name))


def call(*words: str) -> Result:
    return CliRunner().invoke(app, words, prog_name="understudy")
