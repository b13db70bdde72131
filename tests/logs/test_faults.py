"""Full and vanished disks, and kills at any moment: the account names exactly the missing rows."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.logs.builders import score_batch, wait_until
from tests.logs.test_journal import files_at_most
from understudy.logs.accounts import WriterAccount, accounts_of
from understudy.logs.decisions.numbers import Range
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter, WriterLimits

QUICK = WriterLimits(gather_s=0.005, retry_s=0.01)


def score_account(root: Path) -> WriterAccount:
    (account,) = [each for each in accounts_of(root, "fraud") if each.log is LogKind.SCORE]
    return account


def check_rows(root: Path, account: WriterAccount) -> None:
    """Check that each row is there once, and is the one that was offered under its number."""
    with open_logs(root) as reader:
        rows = reader.rows("SELECT writer_sequence AS n, request_id, score FROM score ORDER BY n")
    assert len(rows) == account.found == len({row["n"] for row in rows})
    assert all(row["request_id"] == f"r{row['n'] - 1}" for row in rows)
    assert all(row["score"] == (row["n"] - 1) / 1000 for row in rows)
    assert account.repeated == 0


@pytest.mark.fault
def test_a_disk_that_vanishes_under_a_writer_costs_its_unfinished_rows_and_no_later_ones(
    tmp_path: Path,
) -> None:
    root = tmp_path / "logs"
    with LogWriter(root, limits=QUICK) as writer:
        assert writer.offer(score_batch(5))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
        shutil.rmtree(root)
        assert writer.offer(score_batch(3, first=5, version=8))
        assert writer.flush(60)

    account = score_account(root)
    assert (account.offered, account.found, account.failed) == (8, 3, 5)
    assert account.missing == (Range(1, 5),)
    check_rows(root, account)


@pytest.mark.fault
def test_a_full_disk_costs_the_rows_that_the_queue_could_not_hold_and_names_them(
    tmp_path: Path,
) -> None:
    limits = WriterLimits(queued_rows=40, gather_s=0.005, retry_s=0.01)
    offered = 0
    with LogWriter(tmp_path, limits=limits) as writer:
        assert writer.offer(score_batch(10))
        wait_until(lambda: writer.counters().queued_rows == 0, what="rows in a journal")
        offered, dropped = 10, 0
        with files_at_most(3_000):
            while dropped < 30:
                taken = writer.offer(score_batch(10, first=offered))
                offered, dropped = offered + 10, dropped + (0 if taken else 10)
            wait_until(lambda: writer.counters().faults > 0, what="a failed write")
        assert writer.flush(60)

    account = score_account(tmp_path)
    assert (account.offered, account.dropped, account.failed) == (offered, dropped, 0)
    assert account.found == offered - dropped
    assert account.missing == (Range(offered - dropped + 1, offered),)
    check_rows(tmp_path, account)


_OFFERING = """
import sys
from pathlib import Path
from understudy.logs.decisions.rolling import RollPolicy
from understudy.logs.writer import LogWriter, WriterLimits
from tests.logs.builders import score_batch

limits = WriterLimits(gather_s=0.01, roll=RollPolicy(rows=400))
with LogWriter(Path(sys.argv[1]), limits=limits) as writer:
    for number in range(100_000):
        writer.offer(score_batch(7, first=number * 7))
        print(number * 7 + 7, flush=True)
"""


@pytest.mark.long
@pytest.mark.fault
@pytest.mark.parametrize("batches", [*range(1, 6), *range(20, 400, 25)])
def test_a_kill_at_any_moment_leaves_rows_that_are_whole_and_an_exact_account(
    tmp_path: Path, batches: int
) -> None:
    run = [sys.executable, "-c", _OFFERING, str(tmp_path)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(batches)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
    known = max([*said, *(int(each) for each in rest[:-1])])

    with LogWriter(tmp_path, limits=QUICK) as successor:
        wait_until(lambda: not _is_unfinished(tmp_path, successor), what="recovery")

    account = score_account(tmp_path)
    assert account.offered is not None
    assert known <= account.offered
    assert account.found + account.missing_rows == account.offered
    check_rows(tmp_path, account)


def _is_unfinished(root: Path, successor: LogWriter) -> bool:
    folders = [each.name for each in (root / ".inprogress").iterdir()]
    return any(name != successor.writer_id for name in folders)
