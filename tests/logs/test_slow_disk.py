"""A disk that does not answer: callers are not held up, and the account names the missing rows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.logs.stalling_disk import OPERATIONS, StallingDisk
from tests.logs.test_faults import check_rows, score_account

pytestmark = pytest.mark.fault

_OFFERING = """
import sys
from pathlib import Path
from understudy.logs.decisions.rolling import RollPolicy
from understudy.logs.writer import LogWriter, WriterLimits
from tests.logs.builders import AT_US, DAY_US, score_batch, wait_until

root, stalls, *operations = sys.argv[1:]
limits = WriterLimits(queued_rows=40, gather_s=0.005, retry_s=0.01, roll=RollPolicy(rows=140))
offered = dropped = 0

def offer(until) -> bool:
    global offered, dropped
    taken = writer.offer(score_batch(7, first=offered, at_us=AT_US + offered * DAY_US // 700))
    offered, dropped = offered + 7, dropped + (0 if taken else 7)
    return until()

with LogWriter(Path(root), limits=limits) as writer:
    for operation in operations:
        stall = Path(stalls, operation)
        stall.touch()
        wait_until(lambda: offer(stall.with_suffix(".hit").exists), what=f"a {operation}")
        before = dropped
        wait_until(lambda: offer(lambda: dropped >= before + 70), what="a full queue")
        stall.unlink()
        assert writer.flush(60), operation
        print(operation, "stalled", flush=True)
print(offered, dropped)
"""


def test_a_disk_that_stalls_holds_up_no_caller_and_costs_the_rows_that_the_queue_could_not_hold(
    tmp_path: Path,
) -> None:
    """Each operation in turn does not return while rows are offered, as with a lost network disk."""
    root = tmp_path / "logs"
    disk = StallingDisk(tmp_path, root)

    done = subprocess.run(
        [sys.executable, "-c", _OFFERING, str(root), str(disk.stalls), *OPERATIONS],
        env=os.environ | disk.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    offered, dropped = (int(each) for each in done.stdout.splitlines()[-1].split())
    account = score_account(root)
    assert dropped >= 70 * len(OPERATIONS)
    assert (account.offered, account.dropped, account.failed) == (offered, dropped, 0)
    assert account.found == offered - dropped
    assert account.missing_rows == dropped
    check_rows(root, account)
