"""DuckDB as we open it: confined to named files, and spilling to the temporary folder only."""

import tempfile
from pathlib import Path

import duckdb
import pytest

from understudy.runtime.in_memory_sql import open_in_memory

_MORE_THAN_FITS = """
    CREATE TEMP TABLE t AS
    SELECT i, hash(i)::VARCHAR || repeat('x', 100) AS text FROM range(1_000_000) AS t(i)
"""


def test_a_spill_leaves_the_working_directory_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    with open_in_memory(memory_limit="48MB") as connection:
        connection.execute(_MORE_THAN_FITS)
        spilled = list(temporary.rglob("*.tmp"))

    assert spilled, "the test must need more memory than there is"
    assert list(here.iterdir()) == []
    assert list(temporary.iterdir()) == []


def test_a_database_reads_the_named_files_and_no_others(tmp_path: Path) -> None:
    named, other = tmp_path / "it's.csv", tmp_path / "it's.csv.csv"
    for path in (named, other):
        path.write_text("a\n1\n")

    with open_in_memory(files=[named]) as connection:
        read = "SELECT * FROM read_csv($path)"

        assert connection.sql(read, params={"path": str(named)}).fetchall() == [(1,)]
        with pytest.raises(duckdb.PermissionException):
            connection.sql(read, params={"path": str(other)})


def test_a_named_directory_does_not_include_siblings_with_its_prefix(tmp_path: Path) -> None:
    for folder in ("logs", "logs-of-others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text("a\n1\n")

    with open_in_memory(directories=[tmp_path / "logs"]) as connection:
        read = "SELECT * FROM read_csv($path)"

        assert connection.sql(read, params={"path": str(tmp_path / "logs" / "a.csv")}).fetchall()
        for outside in ("logs-of-others/a.csv", "logs/../logs-of-others/a.csv"):
            with pytest.raises(duckdb.PermissionException):
                connection.sql(read, params={"path": f"{tmp_path}/{outside}"})


@pytest.mark.parametrize(
    "setting",
    ["enable_external_access = true", "allowed_directories = ['/']", "lock_configuration = false"],
)
def test_no_setting_can_be_changed(setting: str) -> None:
    with open_in_memory() as connection, pytest.raises(duckdb.Error):
        connection.execute(f"SET {setting}")
