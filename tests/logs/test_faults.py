"""Full and vanished disks, and kills at any moment: the account names exactly the missing rows."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

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


class Step(StrEnum):
    OFFER = "offer"  # rows that reach a journal
    FLUSH = "flush"  # rows that become visible
    REMOUNT = "remount"  # another folder takes the place of the log directory
    FORGET = "forget"  # the folder of unfinished files is removed


@pytest.mark.fault
@given(st.lists(st.sampled_from(Step), max_size=12))
@example([Step.OFFER, Step.FLUSH, Step.FORGET, Step.OFFER, Step.FLUSH])
@example([Step.OFFER, Step.REMOUNT, Step.OFFER, Step.FLUSH, Step.REMOUNT, Step.OFFER])
@example([Step.OFFER, Step.REMOUNT, Step.FLUSH, Step.REMOUNT, Step.FORGET])
@settings(max_examples=10, deadline=None)
def test_a_directory_that_goes_and_returns_keeps_its_rows_and_none_is_overwritten(
    steps: Sequence[Step],
) -> None:
    with TemporaryDirectory() as base:
        mounted, away = Path(base) / "a", Path(base) / "b"
        mounted.mkdir()
        away.mkdir()
        root = Path(base) / "logs"
        root.symlink_to(mounted)
        offered = 0
        visible: set[int] = set()  # numbers of rows that a flush has shown, or that cannot be lost
        unfinished: dict[Path, set[int]] = {mounted: set(), away: set()}  # by folder
        forgotten: set[int] = set()
        with LogWriter(root, limits=QUICK) as writer:
            for step in [*steps, Step.FLUSH]:
                match step:
                    case Step.OFFER:
                        assert writer.offer(score_batch(5, first=offered))
                        wait_until(partial(_is_in_journals, writer), what="rows in a journal")
                        unfinished[mounted].update(range(offered + 1, offered + 6))
                        offered += 5
                    case Step.FLUSH:
                        assert writer.flush(60)
                        visible |= unfinished[mounted]
                        unfinished[mounted] = set()
                    case Step.REMOUNT:
                        mount(root, away)
                        mounted, away = away, mounted
                    case Step.FORGET:
                        shutil.rmtree(root / ".inprogress", ignore_errors=True)
                        forgotten |= unfinished[mounted]
                        unfinished[mounted] = set()
        found: list[tuple[int, str]] = []
        for folder in (mounted, away):
            with LogWriter(folder, limits=QUICK):
                pass  # it finishes what the other one left there
            found += _numbered_ids(folder)

    numbers = [number for number, _ in found]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) >= visible
    assert set(range(1, offered + 1)) - set(numbers) <= forgotten
    assert all(request == f"r{number - 1}" for number, request in found)


def mount(root: Path, folder: Path) -> None:
    """Let another folder take the place of `root` at once, a link."""
    fresh = root.with_suffix(".new")
    fresh.symlink_to(folder)
    fresh.replace(root)


def _is_in_journals(writer: LogWriter) -> bool:
    return writer.counters().queued_rows == 0


def _numbered_ids(root: Path) -> list[tuple[int, str]]:
    with open_logs(root) as reader:
        rows = reader.rows("SELECT writer_sequence AS n, request_id FROM score")
    return [(row["n"], row["request_id"]) for row in rows]


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
