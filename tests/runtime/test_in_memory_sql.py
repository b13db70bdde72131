"""Data that SQL cannot hold in memory goes to the temporary folder, never to the working directory."""

import tempfile
from pathlib import Path

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

    with open_in_memory() as connection:
        connection.execute("SET memory_limit = '48MB'; SET threads = 1")
        connection.execute(_MORE_THAN_FITS)
        spilled = list(temporary.rglob("*.tmp"))

    assert spilled, "the test must need more memory than there is"
    assert list(here.iterdir()) == []
    assert list(temporary.iterdir()) == []
