"""A change is bound to the revision that its operator knows."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from registry.cli.commands import app
from tests.registry.commands import CHANGES, REASON, command, json_of
from tests.registry.operator import LIMIT_S
from understudy.runtime.exit_codes import CONFLICT, OK, REFUSED, USAGE

OPTIONS = {
    "canary": ("--weight", "1%"),
    "rules": ("--file", os.devnull),
    "place": ("--anywhere",),
    "contract": ("--release", "patient"),
}
NEEDS_VERSION = {"deploy", "shadow", "canary"}


class Terminal:
    """A command whose input and errors are a terminal."""

    def __init__(self, process: subprocess.Popen[str], screen: int) -> None:
        self.process = process
        self._screen = screen

    def until(self, text: str) -> str:
        """Return the screen once it has `text`."""
        seen = ""
        while text not in seen:
            seen += os.read(self._screen, 4096).decode()
        return seen

    def answer(self, text: str) -> int:
        """Type a line, and return the exit code."""
        os.write(self._screen, f"{text}\n".encode())
        self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    screen, device = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from registry.cli.commands import app; app()", *words],
        stdin=device,
        stderr=device,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(device)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.communicate()
        os.close(screen)


@pytest.mark.parametrize("verb", sorted(CHANGES))
def test_without_a_terminal_a_change_names_its_revision(unchanged: str, verb: str) -> None:
    version = ("1",) if verb in NEEDS_VERSION else ()
    words = (verb, "fraud", *version, *OPTIONS.get(verb, ()), *REASON)

    refused = CliRunner().invoke(app, words)

    assert refused.exit_code in {USAGE, REFUSED}
    assert json_of("status")["deployments"] == []
    if verb not in {"contract", "rules"}:  # refused before, by the plan and by the file
        assert "--expect-revision: read None; accepted: the number of the" in refused.stderr


def test_at_a_terminal_the_current_revision_is_shown_and_the_change_bound_to_it(
    registry: str,
) -> None:
    command("deploy", "fraud@1", *REASON)

    with terminal("canary", "fraud@2", "--weight", "1%", *REASON) as asking:
        shown = asking.until("[y/N]")
        command("threshold", "fraud", "--value", "0.7", *REASON)  # by another operator
        overtaken = asking.answer("y")
    with terminal("canary", "fraud@2", "--weight", "1%", *REASON) as asking:
        asking.until("fraud is at revision 2. Make this change? [y/N]")
        made = asking.answer("y")
    with terminal("undeploy", "fraud", *REASON) as asking:
        asking.until("[y/N]")
        refused = asking.answer("n")

    assert "fraud: revision 1 -> would be revision 2" in shown
    assert (overtaken, made, refused) == (CONFLICT, OK, REFUSED)
    [deployment] = json_of("status")["deployments"]
    assert (deployment["revision"], deployment["challengers"]) == (
        3,
        [{"version": 2, "weight_bp": 100}],
    )


@pytest.mark.parametrize("verb", ["list", "status", "audit"])
def test_an_empty_name_of_a_model_is_not_every_model(unchanged: str, verb: str) -> None:
    assert command(verb, "").exit_code == USAGE


def test_an_empty_actor_is_no_default(unchanged: str) -> None:
    words = ("deploy", "fraud@1", "--expect-revision", "0", *REASON)

    refused = command(*words, "--actor", "")

    assert "names no actor" in refused.stderr
