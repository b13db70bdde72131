"""Lines of the demo that are to be copied into a shell work there."""

import shlex
from pathlib import Path

import pytest

from stack.data_directory import DataDirectory
from stack.demo_report import DemoReport


def test_the_query_of_the_log_can_be_copied_into_a_shell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    DemoReport().logs(DataDirectory(Path("/x/demo")))

    (line,) = (line for line in capsys.readouterr().out.splitlines() if "DuckDB: " in line)
    program, option, code = shlex.split(line.removeprefix("DuckDB: "))
    assert (program, option) == ("python", "-c")
    compile(code, "copied", "exec")
    assert "FROM '/x/demo/logs/score/*/*/*.parquet'" in code
