"""The reference of the logs describes exactly what the logs hold."""

import re
from pathlib import Path

import pytest

from understudy.comparison.cli.commands import app
from understudy.logs.schema import LogKind, schema_of_kind

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "logs.md").read_text()


@pytest.mark.parametrize("kind", list(LogKind))
def test_every_column_of_a_log_is_in_its_section_and_no_other(kind: LogKind) -> None:
    section = REFERENCE.split(f"\n### {kind.value}\n")[1].split("\n#")[0]
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]

    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}

    assert named == set(schema_of_kind(kind).names)


def test_every_command_is_in_the_reference() -> None:
    names = [
        command.name or command.callback.__name__
        for command in app.registered_commands
        if command.callback
    ]

    assert {"ledger", "sql"} < set(names)
    for name in (*names, "outcomes import"):
        assert f"`understudy shadow {name}" in REFERENCE
    assert "`understudy compare " in REFERENCE
