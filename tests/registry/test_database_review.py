"""A running registry finds by itself what was changed in its database, at a bounded cost."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import thread_time

import pytest
from structlog.testing import capture_logs

from registry.app import open_registry
from registry.cli.status_output import print_status
from registry.server.database_review import DatabaseReview, _paced, _StoppedError
from registry.settings import RegistrySettings
from tests.registry.commands import command, json_of
from tests.registry.test_heads import unlocked
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.terminal.output_option import Format


def _settings(directory: Path) -> RegistrySettings:
    return RegistrySettings(unproven=True, dir=directory, listen="127.0.0.1:0")


async def test_an_intact_database_is_reviewed_and_said_to_be_so(seeded: Path) -> None:
    async with open_registry(_settings(seeded)) as opened:
        before = opened.database_review.latest
        await opened.database_review.review()
        found = opened.database_review.latest

    assert before is None
    assert found is not None
    assert (found.audit_rows, found.faults) == (2, ())


@pytest.mark.fault
async def test_a_change_behind_the_registrys_back_is_found_and_logged_once(seeded: Path) -> None:
    async with open_registry(_settings(seeded)) as opened:
        review = opened.database_review
        await review.review()
        with unlocked(seeded) as database:
            database.execute("UPDATE versions SET score_column = 0 WHERE number = 2")
        with capture_logs() as logs:
            await review.review()
            await review.review()
        found = review.latest

    assert found is not None
    assert ["fraud@2" in fault for fault in found.faults] == [True]
    assert [each["event"] for each in logs] == ["registry_not_intact"]


@pytest.mark.fault
async def test_a_review_goes_on_after_one_that_failed(seeded: Path) -> None:
    async with open_registry(_settings(seeded)) as opened:
        broken = DatabaseReview(opened.database_review.engine, _no_time, every_s=0.0)
        with capture_logs() as logs:
            async with asyncio.TaskGroup() as owned:
                task = owned.create_task(broken.keep_reviewed())
                while len(logs) < 2:  # noqa: ASYNC110 - reviews set no event of ours
                    await asyncio.sleep(0)
                task.cancel()

    assert {each["event"] for each in logs} == {"registry_not_reviewed"}


def test_work_rests_nine_times_as_long_as_it_takes() -> None:
    rests: list[float] = []

    class Counting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout or 0.0)
            return False

    begun_s = thread_time()
    assert list(_paced(_working(40), Counting())) == list(range(40))
    worked_s = thread_time() - begun_s

    assert rests
    assert 0 < sum(rests) <= 9 * worked_s
    assert sum(rests) >= 9 * worked_s / 2


def test_a_stopped_review_ends_at_its_next_rest() -> None:
    stop = threading.Event()
    stop.set()

    with pytest.raises(_StoppedError):
        list(_paced(_working(1_000), stop))


def _working(rows: int) -> Iterator[int]:
    """Yield rows that cost 2 ms of CPU time each."""
    for row in range(rows):
        until_s = thread_time() + 0.002
        while thread_time() < until_s:
            pass
        yield row


def _no_time() -> datetime:
    raise ValueError(datetime.now(UTC))


def test_status_shows_the_review(registry: str, seeded: Path) -> None:
    while (shown := json_of("status")).get("review") is None:
        assert registry  # the first review takes milliseconds
    text = command("status").stdout

    assert shown["review"]["fault_count"] == 0
    assert "as recorded in 2 rows of the audit log" in text


def test_the_status_of_a_broken_registry_raises_an_alarm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = ["version fraud@2 is not as recorded"]
    review = pb.DatabaseReview(audit_rows=2, fault_count=21, faults=faults)
    print_status(pb.GetStatusResponse(review=review), Format.TABLE)

    out = capsys.readouterr().out
    assert "ALARM: the registry is not intact: version fraud@2" in out
    assert "and 20 more faults" in out
