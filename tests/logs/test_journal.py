"""Unfinished files: after a crash or on a full disk, complete rows come through exactly once."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.logs.builders import score_batch, wait_until
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.logs.columns import FileKeys, record_batch, schema_of
from understudy.logs.decisions.rolling import RollPolicy
from understudy.logs.files import LogFiles
from understudy.logs.journal import FinishedRows, Journal, JournalReader, finish_journal
from understudy.logs.numbered import Numbered
from understudy.logs.offered_rows import CountsInMemory
from understudy.logs.reader import open_logs
from understudy.logs.workspace import abandoned_workspaces, open_workspace
from understudy.logs.writer import LogWriter, WriterLimits

QUICK = WriterLimits(gather_s=0.005, retry_s=0.01)
KEY = FileKeys().key_of(score_batch())
UNKEYED = LoggedIds(IdForm.UNKEYED)
SCHEMA = schema_of(KEY, UNKEYED)


def no_pause() -> None:
    pass


def arrow_batch(rows: int, first: int = 0) -> pa.RecordBatch:
    return record_batch([Numbered(score_batch(rows, first=first), 1)], SCHEMA, UNKEYED, "w")


def write_journal(path: Path, *rows: int) -> list[int]:
    """Write a batch per number, and return the size of the file after each."""
    journal = Journal(path, SCHEMA)
    sizes = []
    for number, count in enumerate(rows):
        journal.append(arrow_batch(count, first=number * 1000))
        sizes.append(path.stat().st_size)
    journal.close()
    return sizes


@contextmanager
def files_at_most(size_bytes: int) -> Iterator[None]:
    """Let the kernel limit the size of files, so that writes fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_finished_journal_is_replaced_by_a_parquet_file(tmp_path: Path) -> None:
    path, target = tmp_path / "v7-000001.inprogress", tmp_path / "date=d" / "v7.parquet"
    write_journal(path, 2, 3)

    finished = finish_journal(path, target, pause=no_pause)

    assert finished == FinishedRows(5)
    assert pq.read_table(target).column("request_id").to_pylist() == [
        "r0", "r1", "r1000", "r1001", "r1002",
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [target.parent]


def test_a_journal_torn_anywhere_yields_its_complete_batches(tmp_path: Path) -> None:
    path, torn = tmp_path / "whole.inprogress", tmp_path / "torn.inprogress"
    sizes = write_journal(path, 0, 2, 3, 4)
    content = path.read_bytes()

    for length in range(0, sizes[-1], 3):
        torn.write_bytes(content[:length])
        journal = JournalReader(torn)
        rows = sum(batch.num_rows for batch in journal)

        whole = [size for size in sizes if size <= length]
        assert rows == (0, 0, 2, 5)[len(whole)]
        if whole:
            assert journal.torn_bytes == length - whole[-1]


def test_a_journal_without_a_complete_batch_leaves_no_file(tmp_path: Path) -> None:
    path, target = tmp_path / "v7-000001.inprogress", tmp_path / "v7.parquet"
    path.write_bytes(b"")

    assert finish_journal(path, target, pause=no_pause) == FinishedRows(0)
    assert list(tmp_path.iterdir()) == []


def test_finishing_again_after_a_crash_before_the_removal_doubles_no_row(tmp_path: Path) -> None:
    path, target = tmp_path / "v7-000001.inprogress", tmp_path / "v7.parquet"
    write_journal(path, 2, 3)
    content = path.read_bytes()
    finish_journal(path, target, pause=no_pause)
    path.write_bytes(content)

    assert finish_journal(path, target, pause=no_pause) == FinishedRows(5)
    assert list(tmp_path.iterdir()) == [target]
    assert pq.read_metadata(target).num_rows == 5


def test_a_disk_that_is_full_when_finishing_leaves_the_journal_and_nothing_visible(
    tmp_path: Path,
) -> None:
    path, target = tmp_path / "v7-000001.inprogress", tmp_path / "v7.parquet"
    write_journal(path, 500)

    with files_at_most(2_000), pytest.raises(OSError, match="File too large"):
        finish_journal(path, target, pause=no_pause)

    assert list(tmp_path.iterdir()) == [path]
    assert finish_journal(path, target, pause=no_pause) == FinishedRows(500)


def test_a_disk_that_fills_in_the_middle_of_a_batch_tears_only_that_batch(tmp_path: Path) -> None:
    now_s = 0.0
    files = LogFiles(tmp_path, UNKEYED, RollPolicy(), lambda: now_s, no_pause)
    files.append(KEY, arrow_batch(10))
    (journal,) = (path for path in tmp_path.rglob("*.inprogress") if path.is_file())
    with files_at_most(journal.stat().st_size + 300), pytest.raises(OSError, match="too large"):
        files.append(KEY, arrow_batch(20, first=100))
    files.append(KEY, arrow_batch(20, first=100))

    finished = list(files.finish_due(everything=True))
    files.close(CountsInMemory(files.writer_id))

    assert [(each.rows, each.lost_rows) for each in finished] == [(10, 0), (20, 0)]
    assert finished[0].torn_bytes > 0
    with open_logs(tmp_path) as reader:
        assert reader.rows("SELECT count(*) AS n, count(DISTINCT request_id) AS d FROM score") == [
            {"n": 30, "d": 30}
        ]


def has_faults(writer: LogWriter, at_least: int) -> bool:
    return writer.counters().faults >= at_least


@pytest.mark.fault
def test_a_full_disk_delays_rows_and_loses_none_that_fit_the_queue(tmp_path: Path) -> None:
    with LogWriter(tmp_path, limits=QUICK) as writer:
        assert writer.offer(score_batch(50))
        assert writer.flush(60)
        with files_at_most(4_096):
            for number in range(1, 20):
                faults = writer.counters().faults
                assert writer.offer(score_batch(50, first=number * 50))
                wait_until(partial(has_faults, writer, faults + 1), what="the disk refuses")

        assert writer.flush(60)
        counts = writer.counters().score

    assert (counts.offered, counts.written, counts.failed) == (1000, 1000, 0)
    with open_logs(tmp_path) as reader:
        assert reader.rows("SELECT count(*) AS n, count(DISTINCT request_id) AS d FROM score") == [
            {"n": 1000, "d": 1000}
        ]


def test_a_full_disk_at_recovery_leaves_the_rows_for_a_later_attempt(tmp_path: Path) -> None:
    dead = open_workspace(tmp_path, "dead")
    write_journal(dead.journal_path(KEY, 1), 300)
    dead.release()
    files = LogFiles(tmp_path, UNKEYED, RollPolicy(), lambda: 0.0, no_pause)

    with files_at_most(2_000), pytest.raises(OSError, match="too large"):
        list(files.recover())

    assert [each.rows for each in files.recover()] == [300]
    assert list((tmp_path / ".inprogress").iterdir()) == []


def test_a_journal_that_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, UNKEYED, RollPolicy(), lambda: 0.0, no_pause)

    with files_at_most(100), pytest.raises(OSError, match="too large"):
        files.append(KEY, arrow_batch(3))

    assert list(files.finish_due(everything=True)) == []
    assert list(tmp_path.rglob("v7-*")) == []
    files.close(CountsInMemory(files.writer_id))
    assert list((tmp_path / ".inprogress").iterdir()) == []


def test_a_removed_journal_is_counted_as_lost(tmp_path: Path) -> None:
    with LogWriter(tmp_path, limits=QUICK) as writer:
        writer.offer(score_batch(4))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
        for path in tmp_path.rglob("v7-*.inprogress"):
            path.unlink()
        writer.offer(score_batch(3, version=8))

        assert writer.flush(60)

    counts = writer.counters().score
    assert (counts.written, counts.failed, counts.pending) == (3, 4, 0)


_CRASHING = """
import sys
from pathlib import Path
from understudy.logs.writer import LogWriter
from tests.logs.builders import score_batch, wait_until

writer = LogWriter(Path(sys.argv[1]))
writer.start()
for number in range(10):
    writer.offer(score_batch(100, first=number * 100))
wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def crashing_writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a running process with 1,000 rows in unfinished files."""
    with subprocess.Popen(
        [sys.executable, "-c", _CRASHING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


@pytest.mark.fault
def test_rows_of_a_killed_process_are_recovered_by_the_next(
    tmp_path: Path, crashing_writer: subprocess.Popen[str]
) -> None:
    crashing_writer.send_signal(signal.SIGKILL)
    crashing_writer.wait(60)
    with open_logs(tmp_path) as reader:
        assert reader.rows("SELECT count(*) AS n FROM score") == [{"n": 0}]

    with LogWriter(tmp_path, limits=QUICK) as writer:
        wait_until(lambda: writer.counters().recovered == 1000, what="recovery")

    with open_logs(tmp_path) as reader:
        assert reader.rows("SELECT count(DISTINCT request_id) AS n FROM score") == [{"n": 1000}]
    assert list((tmp_path / ".inprogress").iterdir()) == []


def test_a_folder_being_created_is_not_taken_as_abandoned(tmp_path: Path) -> None:
    being_made = tmp_path / ".inprogress" / ".new-4711-abc"
    being_made.mkdir(parents=True)
    (being_made / "lock").touch()  # the moment before its owner locks it

    assert list(abandoned_workspaces(tmp_path)) == []


def test_rows_of_a_process_that_dies_later_are_recovered_by_others(tmp_path: Path) -> None:
    now_s = 0.0
    with LogWriter(tmp_path, limits=QUICK, now_s=lambda: now_s) as survivor:
        assert survivor.offer(score_batch(1))
        assert survivor.flush(60)  # it has searched for dead writers, and found none
        dying = open_workspace(tmp_path, "dead")
        write_journal(dying.journal_path(KEY, 1), 2, 3)
        dying.release()  # as the kernel does when a process ends

        now_s = QUICK.recover_s + 1

        wait_until(lambda: survivor.counters().recovered == 5, what="recovery")


@pytest.mark.fault
def test_rows_of_a_live_process_are_left_alone(
    tmp_path: Path, crashing_writer: subprocess.Popen[str]
) -> None:
    with LogWriter(tmp_path, limits=QUICK) as writer:
        writer.offer(score_batch(3))
        assert writer.flush(60)

    assert writer.counters().recovered == 0
    assert crashing_writer.poll() is None
    assert len(list((tmp_path / ".inprogress").iterdir())) == 1
