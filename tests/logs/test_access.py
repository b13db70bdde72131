"""Access to the files of the logs, by their modes and groups."""

import os
import stat
from pathlib import Path

import pytest

from tests.logs.builders import score_batch
from understudy.domain.errors import InvalidInputError
from understudy.logs.access import access_of, keep_from_group, share_with_group
from understudy.logs.writer import LogWriter, WriterLimits

QUICK = WriterLimits(gather_s=0.005, retry_s=0.01)
OURS = str(os.getgid())


@pytest.fixture(autouse=True)
def _umask_of_our_processes() -> None:
    os.umask(0o077)  # undone after each test; see tests/conftest.py


def modes_below(root: Path) -> dict[str, set[int]]:
    """Return the modes of the folders and of the files, the root included."""
    found: dict[str, set[int]] = {"folders": set(), "files": set()}
    for path in (root, *root.rglob("*")):
        kind = "folders" if path.is_dir() else "files"
        found[kind].add(stat.S_IMODE(path.stat().st_mode))
    return found


def write(root: Path) -> dict[str, set[int]]:
    """Write a row and finish it; return all modes seen while the writer ran, and after."""
    with LogWriter(root, limits=QUICK) as writer:
        assert writer.offer(score_batch(1))
        assert writer.flush(60.0)
        during = modes_below(root)
    after = modes_below(root)
    assert list(root.rglob("*.parquet"))
    return {kind: during[kind] | after[kind] for kind in during}


def test_logs_are_ours_alone_by_default(tmp_path: Path) -> None:
    assert write(tmp_path / "logs") == {"folders": {0o700}, "files": {0o600}}


def test_the_group_of_a_shared_folder_reads_all_that_is_written(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    share_with_group(root, OURS)

    assert write(root) == {"folders": {0o2750}, "files": {0o640}}
    assert {path.stat().st_gid for path in root.rglob("*")} == {os.getgid()}


def test_a_folder_that_others_may_list_shares_no_file(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    root.mkdir()
    root.chmod(0o755)

    assert write(root) == {"folders": {0o755, 0o700}, "files": {0o600}}


def test_a_folder_is_no_longer_shared_when_the_setting_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    share_with_group(root, OURS)

    keep_from_group(root)

    assert not access_of(root).group_reads
    assert modes_below(root)["folders"] == {0o700}


def test_a_group_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="log_group: read 'no-such-group'; accepted: the"):
        share_with_group(tmp_path / "logs", "no-such-group")
