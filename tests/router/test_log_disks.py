"""A log disk that stalls, and one that goes and comes back, under a router that answers calls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.logs.stalling_disk import OPERATIONS, StallingDisk
from tests.logs.test_faults import mount
from tests.router.router_process import ServedScorer, open_router_process
from tests.router.samples import MODEL, deployment
from tests.router.test_faults_under_load import CALLS, under_load
from tests.stack.waiting import until
from understudy.logs.accounts import WriterAccount, accounts_of
from understudy.logs.reader import open_logs
from understudy.logs.schema import LogKind
from understudy.logs.writer import LogWriter

pytestmark = [pytest.mark.fault, pytest.mark.long]


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StallingDisk]:
    """Yield the disk of the logs of all routers that the test starts."""
    disk = StallingDisk(tmp_path, tmp_path / "logs")
    with monkeypatch.context() as environment:
        for name, value in disk.environment.items():
            environment.setenv(name, value)
        yield disk


def recovered(root: Path) -> list[int]:
    """Return the numbers of all score rows, once a later writer has finished those of the dead."""
    with LogWriter(root):
        pass
    with open_logs(root) as reader:
        rows = reader.rows("SELECT writer_sequence AS n FROM score ORDER BY n")
    return [row["n"] for row in rows]


def account(root: Path) -> WriterAccount:
    (found,) = [each for each in accounts_of(root, MODEL) if each.log is LogKind.SCORE]
    return found


async def test_a_disk_that_stalls_fails_no_call_and_delays_rows(
    tmp_path: Path, disk: StallingDisk
) -> None:
    async with open_router_process(tmp_path, deployment(), {1: [ServedScorer()]}) as router:
        async with under_load(router) as traffic:
            disk.stall(*OPERATIONS)

            async def is_held_up() -> bool:
                return disk.has_held_up(*OPERATIONS)

            await until(is_held_up)
            await traffic.until_ended(traffic.ended + 2 * CALLS)
            disk.resume(*OPERATIONS)
            await traffic.until_ended(traffic.ended + CALLS)
        await router.stop()

    answered = len(traffic.calls)
    assert traffic.failures == []
    assert recovered(tmp_path / "logs") == list(range(1, answered + 1))
    assert account(tmp_path / "logs").is_whole


async def test_a_stop_ends_in_its_time_on_a_disk_that_stalls_and_the_lost_rows_are_named(
    tmp_path: Path, disk: StallingDisk
) -> None:
    limits: dict[str, Any] = {"drain_grace_s": 0.3, "termination_s": 10.0}
    async with open_router_process(
        tmp_path, deployment(), {1: [ServedScorer()]}, **limits
    ) as router:
        async with under_load(router) as traffic:
            disk.stall(*OPERATIONS)
            await traffic.until_ended(traffic.ended + CALLS)
        await router.stop()
        disk.resume(*OPERATIONS)

    answered = len(traffic.calls)
    assert traffic.failures == []
    found = recovered(tmp_path / "logs")
    books = account(tmp_path / "logs")
    assert len(found) == len(set(found)) == books.found
    assert books.offered == answered
    assert books.missing_rows == answered - len(found) > 0


async def test_a_disk_that_goes_and_comes_back_fails_no_call_and_costs_no_row(
    tmp_path: Path,
) -> None:
    disks = [tmp_path / "a", tmp_path / "b"]
    for each in disks:
        each.mkdir()
    logs = tmp_path / "logs"
    logs.symlink_to(disks[0])
    async with open_router_process(tmp_path, deployment(), {1: [ServedScorer()]}) as router:
        async with under_load(router) as traffic:
            for disk in (disks[1], disks[0]):
                mount(logs, disk)
                await traffic.until_ended(traffic.ended + CALLS)
        await router.stop()

    assert traffic.failures == []
    found = sorted(number for each in disks for number in recovered(each))
    assert found == list(range(1, len(traffic.calls) + 1))
