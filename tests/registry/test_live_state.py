"""The notifications of watchers, and their timing. Tests control time and blocking work."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from registry.change_deployment import ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.decisions.report_room import RoomLimits
from registry.decisions.seats import ShareLimits
from registry.server.live_state import LiveOptions, LiveState
from registry.server.observed import Observed, Review
from registry.server.report_rooms import ReportSize
from registry.server.watch_messages import WatchMessages
from registry.server.watchers import Watchers
from registry.store import schema
from registry.store.database import open_database, reading, writing
from registry.store.lineage import latest
from tests.registry.faults import full_disk
from tests.registry.operator import LIMIT_S, running_registry
from tests.registry.samples import REVALIDATE_BY
from understudy.domain.changes import Change, DeployChampion, Rollback, SetCanary
from understudy.domain.deployments import Deployment
from understudy.domain.errors import (
    ConflictError,
    CorruptedError,
    OverloadedError,
    RefusedError,
    UnavailableError,
)
from understudy.domain.reports import RouterReport, ScorersReport
from understudy.domain.snapshots import News, ScorerHost, ScorerProcess, ScorerState, Snapshot
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb

ROOM = RoomLimits(reporters=8, reporters_per_peer=8, parts=100, size_bytes=100_000)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
AFTER_EXPIRY = datetime.combine(REVALIDATE_BY, time(1), UTC) + timedelta(days=1)


def asked(change: Change) -> ChangeRequest:
    return ChangeRequest("fraud", change, "a test", Actor("ada@lab"), None, dry_run=False)


def snapshot(sequence: int) -> Snapshot:
    return Snapshot("lineage", sequence)


@asynccontextmanager
async def live_over(directory: Path) -> AsyncIterator[tuple[LiveState, DeploymentChanger]]:
    engine = open_database(directory / "registry.sqlite")
    with ThreadPoolExecutor(2) as executor:
        options = LiveOptions(
            standby_versions=1,
            silent_after_s=60.0,
            watch_seats=ShareLimits(4, 4),
            host_room=ROOM,
            router_room=ROOM,
        )
        live = LiveState(engine, executor, options, now_s=lambda: 0.0, now=lambda: NOW)
        async with live.opened():
            yield live, DeploymentChanger(engine, lambda: NOW)
    engine.dispose()


async def test_a_change_is_published_even_if_its_caller_disconnects(seeded: Path) -> None:
    async with live_over(seeded) as (live, changer):
        begun, may_end = threading.Event(), threading.Event()

        def slow_change() -> None:
            begun.set()
            assert may_end.wait(LIMIT_S)
            changer.change(asked(DeployChampion(1)))

        caller = asyncio.ensure_future(live.change(slow_change, models=None))
        assert await asyncio.to_thread(begun.wait, LIMIT_S)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        may_end.set()

        async with asyncio.timeout(LIMIT_S):
            async with aclosing(live.watchers.watch("a")) as watch:
                async for seen in watch:
                    if seen.deployments:
                        break

        assert live.deployments("fraud")[0].champion == 1


async def test_a_cancelled_caller_waits_for_work_that_has_begun_and_skips_what_has_not(
    seeded: Path,
) -> None:
    async with live_over(seeded) as (live, _):
        begun, may_end = threading.Semaphore(0), threading.Event()
        ended: list[int] = []

        def work(number: int) -> None:
            begun.release()
            assert may_end.wait(LIMIT_S)
            ended.append(number)

        callers = [asyncio.ensure_future(live.run(partial(work, each))) for each in range(3)]
        for _ in range(2):  # as many as there are threads
            assert await asyncio.to_thread(begun.acquire, timeout=LIMIT_S)
        for _ in range(2):  # a second time, as when a server ends
            for caller in callers:
                caller.cancel()
            await asyncio.wait(callers[2:])
            assert [each.done() for each in callers] == [False, False, True]
        may_end.set()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)

        assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)
        assert sorted(ended) == [0, 1]


async def test_a_failed_change_reaches_its_caller_without_affecting_others(seeded: Path) -> None:
    async with live_over(seeded) as (live, changer):
        with pytest.raises(RefusedError):
            await live.change(lambda: changer.change(asked(SetCanary(1, 10))), models=["fraud"])

        await live.change(lambda: changer.change(asked(DeployChampion(1))), models=["fraud"])

        assert [each.champion for each in live.deployments()] == [1]
        assert live.deployments("other") == []


async def test_a_slow_watcher_gets_only_the_latest_snapshot() -> None:
    watchers = Watchers(snapshot(0), ShareLimits(2, 2))
    watch = watchers.watch("a")
    assert (await anext(watch)).sequence == 0

    for sequence in range(1, 100):
        watchers.publish(snapshot(sequence))

    assert (await anext(watch)).sequence == 99
    await watch.aclose()


async def test_a_slot_is_free_when_its_watcher_leaves() -> None:
    watchers = Watchers(snapshot(0), ShareLimits(1, 1))
    first = watchers.watch("a")
    await anext(first)
    second = watchers.watch("a")

    with pytest.raises(OverloadedError):
        await anext(second)
    await first.aclose()

    third = watchers.watch("a")
    assert (await anext(third)).sequence == 0
    await third.aclose()
    assert watchers.count == 0


async def test_closing_ends_every_watch() -> None:
    watchers = Watchers(snapshot(0), ShareLimits(1, 1))
    watch = watchers.watch("a")
    await anext(watch)

    watchers.close()

    assert [seen async for seen in watch] == []


def test_a_snapshot_is_written_once_for_all_who_watch() -> None:
    messages = WatchMessages()
    latest = snapshot(7)

    written = [messages.written(latest) for _ in range(3)]

    assert all(each is written[0] for each in written)
    assert pb.WatchResponse.FromString(written[0]).snapshot.sequence == 7
    assert messages.written(snapshot(8)) != written[0]


def report(host_id: str, port: int) -> ScorersReport:
    process = ScorerProcess(
        ref=VersionRef("fraud", 1),
        replica=0,
        address=f"127.0.0.1:{port}",
        state=ScorerState.READY,
        artifact_digest="",
        host_id=host_id,
    )
    return ScorersReport(host_id, (process,))


def every(_: ScorersReport) -> bool:
    return True


def none(_: ScorersReport) -> bool:
    return False


def reported(observed: Observed, report: ScorersReport, now_s: float) -> bool:
    return observed.report_scorers(report, at=NOW, now_s=now_s)


def test_an_overdue_report_makes_its_host_silent_and_withdraws_nothing() -> None:
    observed = Observed(silent_after_s=10.0)

    assert reported(observed, report("a", 1), 0.0)
    assert not reported(observed, report("a", 1), 9.0)
    assert reported(observed, report("a", 2), 9.5)

    assert observed.review(now_s=19.0, is_wanted=every) == Review()
    assert observed.review(now_s=19.5, is_wanted=every) == Review(silent=("a",))
    assert observed.review(now_s=1e9, is_wanted=every) == Review(), "it is told once"
    assert [process.address for process in observed.scorers()] == ["127.0.0.1:2"]
    assert observed.hosts() == (ScorerHost("a", News.SILENT, round(NOW.timestamp() * 1e9)),)
    assert reported(observed, report("a", 2), 1e9), "that it reports again is new"
    assert observed.hosts() == (ScorerHost("a", News.REPORTING),)


def test_a_silent_host_is_forgotten_if_no_deployment_needs_its_scorers() -> None:
    observed = Observed(silent_after_s=10.0)
    observed.restore([report("a", 1)], at=NOW, now_s=5.0)

    assert observed.review(now_s=14.9, is_wanted=none) == Review()
    assert observed.review(now_s=15.0, is_wanted=none) == Review(forgotten=("a",))
    assert observed.scorers() == []


def test_an_address_belongs_to_the_host_that_reported_it_last() -> None:
    observed = Observed(silent_after_s=10.0)
    reported(observed, report("b", 1), 0.0)
    reported(observed, report("a", 2), 0.0)

    reported(observed, report("c", 1), 1.0)
    assert [(each.host_id, each.address) for each in observed.scorers()] == [
        ("a", "127.0.0.1:2"),
        ("c", "127.0.0.1:1"),
    ]

    reported(observed, report("b", 1), 2.0)
    assert [each.host_id for each in observed.scorers()] == ["a", "b"]


async def test_no_host_is_silent_because_the_registry_was_suspended(seeded: Path) -> None:
    class Clock:
        now_s = 0.0

    engine = open_database(seeded / "registry.sqlite")
    with ThreadPoolExecutor(2) as executor:
        options = LiveOptions(
            standby_versions=1,
            silent_after_s=0.04,
            watch_seats=ShareLimits(4, 4),
            host_room=ROOM,
            router_room=ROOM,
        )
        live = LiveState(engine, executor, options, now_s=lambda: Clock.now_s, now=lambda: NOW)
        async with live.opened():
            await live.report_scorers(report("a", 1), "peer", ReportSize(1, 100))
            looks = asyncio.Event()
            review = live.observed.review

            def seen(*, now_s: float, is_wanted: Callable[[ScorersReport], bool]) -> Review:
                found = review(now_s=now_s, is_wanted=is_wanted)
                if now_s >= 100.0:
                    looks.set()
                return found

            live.observed.review = seen  # type: ignore[method-assign] # to know when it has checked
            Clock.now_s = 100.0  # the process was stopped for longer than a period
            await asyncio.wait_for(looks.wait(), LIMIT_S)

            assert live.observed.hosts() == (ScorerHost("a", News.REPORTING),)
    engine.dispose()


def test_a_silent_router_is_shown_as_such_and_later_forgotten() -> None:
    observed = Observed(silent_after_s=10.0)
    observed.report_router(RouterReport("r", ()), at=NOW, now_s=0.0)

    news = []
    for now_s in (9.0, 10.0, 199.0, 200.0):
        observed.review(now_s=now_s, is_wanted=none)
        news.append([heard.news for heard in observed.routers()])

    assert news == [[News.REPORTING], [News.SILENT], [News.SILENT], []]


def test_expired_provenance_blocks_the_next_step_but_not_the_way_back(
    seeded: Path,
) -> None:
    engine = open_database(seeded / "registry.sqlite")
    today = DeploymentChanger(engine, lambda: NOW)
    later = DeploymentChanger(engine, lambda: AFTER_EXPIRY)
    today.change(asked(DeployChampion(1)))
    today.change(asked(SetCanary(2, 1000)))

    with pytest.raises(RefusedError, match=r"fraud@2 no longer holds: policy.revalidate_by"):
        later.change(asked(SetCanary(2, 2000)))
    with pytest.raises(RefusedError, match="no longer holds"):
        later.change(asked(DeployChampion(2)))

    after = later.change(asked(Rollback())).after
    assert isinstance(after, Deployment)
    assert after.challengers == ()
    engine.dispose()


def test_a_record_changed_outside_the_registry_takes_no_traffic(seeded: Path) -> None:
    engine = open_database(seeded / "registry.sqlite")
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TRIGGER versions_no_update")
        text = schema.versions.c.provenance_json
        connection.execute(schema.versions.update().values(provenance_json=text + " "))

    with pytest.raises(CorruptedError):
        DeploymentChanger(engine, lambda: NOW).change(asked(DeployChampion(1)))
    engine.dispose()


def test_a_lineage_is_made_once_and_kept(tmp_path: Path) -> None:
    lineages = []
    for name in ("one", "one", "other"):
        engine = open_database(tmp_path / f"{name}.sqlite")
        with reading(engine) as connection:
            lineages.append(latest(connection).id)
        engine.dispose()

    first, again, other = lineages
    assert first == again != other
    assert str(UUID(first)) == first


def test_a_database_of_a_newer_registry_is_refused(seeded: Path) -> None:
    engine = open_database(seeded / "registry.sqlite")
    with writing(engine) as connection:
        connection.execute(
            schema.settings.update()
            .where(schema.settings.c.name == "schema_version")
            .values(value=schema.SCHEMA_VERSION + 1)
        )
    engine.dispose()

    with pytest.raises(RefusedError, match=f"schema {schema.SCHEMA_VERSION + 1}"):
        open_database(seeded / "registry.sqlite")


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_a_file_that_is_not_a_database_is_reported(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "registry.sqlite"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    with pytest.raises(UnavailableError, match="registry database"):
        open_database(path)


async def test_a_second_registry_on_the_directory_is_refused(tmp_path: Path) -> None:
    async with running_registry(tmp_path):
        with pytest.raises(RefusedError, match="another registry"):
            async with running_registry(tmp_path):
                pass


@pytest.mark.fault
def test_a_change_on_a_full_disk_is_reported_and_changes_nothing(seeded: Path) -> None:
    engine = open_database(seeded / "registry.sqlite")
    changer = DeploymentChanger(engine, lambda: NOW)
    changer.change(asked(DeployChampion(1)))
    written_bytes = (seeded / "registry.sqlite-wal").stat().st_size

    with full_disk(written_bytes), pytest.raises(UnavailableError, match="registry database"):
        changer.change(asked(SetCanary(2, 100)))

    after = changer.change(asked(SetCanary(2, 200)))
    assert after.before is not None
    assert (after.before.revision, after.after.revision) == (1, 2)
    engine.dispose()


def test_of_two_connections_at_once_exactly_one_wins(seeded: Path) -> None:
    rounds = range(1, 21)
    together = threading.Barrier(2, timeout=LIMIT_S)

    def compete(number: int) -> list[bool]:
        engine = open_database(seeded / "registry.sqlite")
        changer = DeploymentChanger(engine, lambda: NOW)
        won: list[bool] = []
        for current in rounds:
            share = SetCanary(2, 100 * current + number)
            together.wait()
            try:
                changer.change(replace(asked(share), expect_revision=current))
                won.append(True)
            except ConflictError:
                won.append(False)
            together.wait()
        engine.dispose()
        return won

    engine = open_database(seeded / "registry.sqlite")
    DeploymentChanger(engine, lambda: NOW).change(asked(DeployChampion(1)))
    engine.dispose()

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(compete, (1, 2))

    assert [a != b for a, b in zip(first, second, strict=True)] == [True] * len(rounds)
