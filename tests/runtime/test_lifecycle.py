"""Which process is an orphan."""

import sys
from pathlib import Path

import pytest

from understudy.runtime.lifecycle import _was_orphaned


@pytest.mark.parametrize("parent_pid", [2, 4711])
def test_a_process_with_a_parent_is_no_orphan(parent_pid: int, tmp_path: Path) -> None:
    assert not _was_orphaned(parent_pid, init=tmp_path / "nothing")


def test_a_process_adopted_by_init_is_an_orphan(tmp_path: Path) -> None:
    init = tmp_path / "init"
    init.write_text("not our Python")

    assert _was_orphaned(1, init=init)
    assert _was_orphaned(1, init=tmp_path / "not ours to read")


def test_a_supervisor_that_is_process_1_of_a_container_is_a_parent(tmp_path: Path) -> None:
    init = tmp_path / "exe"
    init.symlink_to(Path(sys.executable).resolve())

    assert not _was_orphaned(1, init=init)
