"""The tutorial holds, word for word: its script, its commands, and the lines that it shows."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from understudy.runtime import exit_codes

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "defend-a-challenger.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"# ([\w.]+)\n")


def blocks(*kinds: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text()) if found in kinds]


def test_a_challenger_is_defended_as_the_tutorial_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in blocks("python", "yaml"):
        named = NAMED.match(text)
        assert named is not None
        Path(named[1]).write_text(text, encoding="utf-8")
    runpy.run_path("logs.py")

    imported, judged, sliced = (
        CliRunner().invoke(app, shlex.split(line)[1:])
        for line in "".join(blocks("sh")).splitlines()
    )

    assert imported.exit_code == exit_codes.OK, imported.stderr
    assert judged.exit_code == exit_codes.FAILED, judged.stderr
    assert sliced.exit_code == exit_codes.OK, sliced.stderr
    of_verdict, of_slices = blocks("text")
    for line in of_verdict.splitlines():
        assert line in judged.stdout
    assert re.search(r"auc .* BETTER", judged.stdout)
    shown = sliced.stdout.splitlines()
    for line in of_slices.splitlines():
        assert any(all(word in each for word in line.split()) for each in shown)
    assert [
        line.split()[1] for line in shown if line.startswith("carrier") and "WORSE" in line
    ] == ["absent"]
    assert Path("comparison.html").stat().st_size > 0
