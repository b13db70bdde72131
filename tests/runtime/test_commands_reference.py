"""docs/reference/commands.md lists the exit codes and the kinds of failures that the code has."""

import re
from pathlib import Path

from understudy.runtime import exit_codes
from understudy.runtime.terminal import failures

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text()


def test_every_exit_code_is_in_the_reference() -> None:
    table = PAGE.split("## Exit codes")[1].split("\n## ")[0]
    named = {name: value for name, value in vars(exit_codes).items() if name.isupper()}

    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}

    assert documented == {code for code in named.values() if isinstance(code, int)}


def test_every_kind_of_failure_is_in_the_reference() -> None:
    listed = PAGE.split("`kind` is one of")[1].split(". `faults`")[0]

    assert set(re.findall(r"`(\w+)`", listed)) == {*failures._KIND_OF.values(), "unexpected"}
