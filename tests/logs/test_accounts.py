"""Each missing row is named by writer and number, whatever ended the writer."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logs.builders import score_batch, shadow_batch, wait_until
from understudy.logs.accounts import WriterAccount, WriterState, accounts_of
from understudy.logs.decisions.numbers import Range, missing_ranges, ranges_of
from understudy.logs.offered_rows import read_counts, remove_counts
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter, WriterLimits

QUICK = WriterLimits(gather_s=0.005, retry_s=0.01)


def score_accounts(root: Path) -> dict[WriterState, WriterAccount]:
    return {each.state: each for each in accounts_of(root, "fraud") if each.log is LogKind.SCORE}


@given(present=st.sets(st.integers(1, 30)), last=st.integers(0, 30))
def test_present_and_missing_numbers_are_all_numbers_once(present: set[int], last: int) -> None:
    ranges = ranges_of(present)
    missing = missing_ranges(ranges, last=last)

    listed = [number for each in missing for number in range(each.first, each.last + 1)]
    assert listed == sorted(set(range(1, last + 1)) - present)
    assert ranges_of(listed) == missing


def test_dropped_and_unwritable_rows_are_named_by_number(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, limits=WriterLimits(queued_rows=6, gather_s=0.005))
    assert writer.offer(score_batch(4))  # 1 to 4
    assert not writer.offer(score_batch(3))  # 5 to 7 find the queue full
    with writer:
        assert writer.flush(60)
        assert writer.offer(score_batch(2, request_ids=["fine", "\ud800"]))  # 8 and 9: not UTF-8
        assert writer.offer(shadow_batch([0.1]))
        assert writer.flush(60)
        assert writer.offer(score_batch(1))  # 10

    account = score_accounts(tmp_path)[WriterState.CLOSED]
    assert account.missing == (Range(5, 9),)
    assert (account.offered, account.found, account.dropped, account.failed) == (10, 5, 3, 2)
    assert not account.is_whole
    (shadow,) = [each for each in accounts_of(tmp_path, "fraud") if each.log is LogKind.SHADOW]
    assert shadow.is_whole


_OFFERING = """
import sys
from pathlib import Path
from understudy.logs.writer import LogWriter, WriterLimits
from tests.logs.builders import score_batch, wait_until

writer = LogWriter(Path(sys.argv[1]), limits=WriterLimits(gather_s=float(sys.argv[2])))
writer.start()
writer.offer(score_batch(100))
wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
writer.offer(score_batch(13, first=100))
print("offered", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return a log whose writer was killed with 100 rows in a journal and 13 in memory."""
    run = [sys.executable, "-c", _OFFERING, str(tmp_path), "2.0"]
    with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "offered\n"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    return tmp_path


@pytest.mark.fault
def test_rows_that_a_kill_took_from_memory_are_named_although_no_row_follows_them(
    killed: Path,
) -> None:
    before = score_accounts(killed)[WriterState.UNKNOWN]
    with LogWriter(killed, limits=QUICK) as successor:
        wait_until(lambda: successor.counters().recovered == 100, what="recovery")

    after = score_accounts(killed)[WriterState.KILLED]
    for account in (before, after):
        assert (account.offered, account.found) == (113, 100)
        assert account.missing == (Range(101, 113),)
    assert (before.unfinished, after.unfinished) == (100, 0)
    assert list((killed / ".inprogress").iterdir()) == []


@pytest.mark.fault
def test_a_loss_of_unknown_size_is_not_taken_for_none(killed: Path) -> None:
    (workspace,) = (killed / ".inprogress").iterdir()
    remove_counts(workspace.name)  # as a restart of the machine does

    with LogWriter(killed, limits=QUICK) as successor:
        wait_until(lambda: successor.counters().recovered == 100, what="recovery")

    account = score_accounts(killed)[WriterState.KILLED]
    assert (account.offered, account.found, account.missing) == (None, 100, ())
    assert not account.is_whole


@pytest.mark.fault
def test_counts_of_a_dead_writer_stay_as_long_as_its_folder(killed: Path, tmp_path: Path) -> None:
    (workspace,) = (killed / ".inprogress").iterdir()
    elsewhere = tmp_path / "others"
    with LogWriter(elsewhere / "living") as living:
        shutil.rmtree(elsewhere)
        with LogWriter(tmp_path / "first"):
            assert read_counts(workspace.name) is not None

        shutil.rmtree(workspace)
        with LogWriter(tmp_path / "second"):
            assert read_counts(workspace.name) is None
            assert read_counts(living.writer_id) == ()


def test_a_row_that_is_there_twice_is_counted(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.offer(score_batch(3))
    (file,) = (tmp_path / "score").rglob("*.parquet")
    file.with_name("v7-copy.parquet").write_bytes(file.read_bytes())

    account = score_accounts(tmp_path)[WriterState.CLOSED]

    assert (account.found, account.repeated) == (3, 3)


@pytest.mark.parametrize("content", [b"", b"PAR1 torn", b"foreign", b"old"])
def test_a_bad_file_is_named_and_hides_no_other(tmp_path: Path, content: bytes) -> None:
    with LogWriter(tmp_path) as writer:
        writer.offer(score_batch(3))
        writer.offer(score_batch(2, model="churn"))
    (file,) = (tmp_path / "score" / "model=fraud").rglob("*.parquet")
    bad = file.with_name("v0-bad.parquet")
    if content in (b"foreign", b"old"):
        metadata = {} if content == b"foreign" else {"understudy_log_version": "2"}
        pq.write_table(pq.read_table(file).replace_schema_metadata(metadata), bad)
    else:
        bad.write_bytes(content)

    with open_logs(tmp_path) as reader:
        counts = reader.rows("SELECT model, count(*) AS n FROM score GROUP BY ALL ORDER BY model")

    assert counts == [{"model": "churn", "n": 2}, {"model": "fraud", "n": 3}]
    assert [each.path.name for each in reader.left_out] == ["v0-bad.parquet"]


def test_statements_name_no_row_and_no_unit(tmp_path: Path) -> None:
    with LogWriter(tmp_path) as writer:
        writer.offer(score_batch(1, request_ids=["r-secret"], entity_ids=["u-secret"]))

    (path,) = (tmp_path / "writers").iterdir()
    assert "secret" not in path.read_text()
    assert json.loads(path.read_text())["ended"] == "closed"
