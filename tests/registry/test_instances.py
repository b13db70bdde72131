"""Several registries over one PostgreSQL: each answers for all, and a watcher may move between them."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, Engine, event

from registry.server.instances import Instances
from registry.server.observed import Observed
from registry.server.report_rooms import ReportRoom
from registry.store.database import open_database
from registry.store.postgresql import PostgresqlPlace
from tests.registry.operator import Operator, report_of, running_registry
from tests.registry.postgresql import Original, Server
from tests.registry.test_live_state import ROOM
from understudy.control.belief import Belief
from understudy.domain.changes import SetThreshold
from understudy.domain.errors import UnavailableError
from understudy.registry.v1 import registry_pb2 as pb

T = TypeVar("T")


@pytest.fixture
def database(original: Original, postgresql: Server) -> PostgresqlPlace:
    return postgresql.copy_of(original.place)


@pytest.fixture
async def pair(
    database: PostgresqlPlace, original: Original, tmp_path: Path
) -> AsyncIterator[list[Operator]]:
    """Yield clients of two registries over one database that has fraud@1, deployed."""
    shutil.copytree(original.directory, tmp_path, dirs_exist_ok=True)
    async with AsyncExitStack() as stack:
        operators = []
        for _ in range(2):
            registry = running_registry(tmp_path, store=database.conninfo)
            operators.append(Operator(await stack.enter_async_context(registry)))
        yield operators


async def test_a_change_by_one_instance_reaches_the_watchers_of_the_other(
    pair: list[Operator],
) -> None:
    first, second = pair

    seeing = asyncio.ensure_future(
        second.seen(lambda each: any(d.decision_threshold == 0.25 for d in each.deployments))
    )
    await first.change(SetThreshold(0.25))

    seen = await seeing
    assert [each.revision for each in seen.deployments] == [2]


async def test_any_instance_answers_with_the_change_of_another(pair: list[Operator]) -> None:
    for number in range(2, 12):
        changed = await pair[number % 2].change(SetThreshold(number / 100))
        assert changed.revision == number
        other = pair[1 - number % 2]
        status = await other.stub.GetStatus(pb.GetStatusRequest())
        assert [each.revision for each in status.deployments] == [number]
    audit = await pair[0].audit()
    assert audit.chain_intact
    assert [each.to_revision for each in audit.entries if each.to_revision] == list(range(1, 12))


async def test_a_watcher_that_moves_between_instances_believes_both(pair: list[Operator]) -> None:
    belief = Belief()
    for number in range(2, 12):
        await pair[number % 2].change(SetThreshold(number / 100))
        for operator in pair:
            assert belief.take(await operator.seen(lambda _: True)) is not None, belief.refusal
            assert belief.snapshot is not None
            assert belief.snapshot.deployments[0].revision == number


async def test_a_report_to_one_instance_is_known_to_all(pair: list[Operator]) -> None:
    first, second = pair
    seeing = asyncio.ensure_future(second.seen(lambda each: bool(each.scorers)))

    await first.stub.ReportScorers(await report_of(first, "h-1"))
    await first.stub.ReportRouter(pb.ReportRouterRequest(router_id="r-1"))

    assert [each.host_id for each in (await seeing).scorers] == ["h-1"]
    status = await second.stub.GetStatus(pb.GetStatusRequest())
    assert [each.host_id for each in status.hosts] == ["h-1"]
    assert [each.router_id for each in status.routers] == ["r-1"]


async def test_an_instance_that_starts_knows_the_reports_to_others(
    pair: list[Operator], database: PostgresqlPlace, tmp_path: Path
) -> None:
    await pair[0].stub.ReportScorers(await report_of(pair[0], "h-1"))

    async with running_registry(tmp_path, store=database.conninfo) as channel:
        seen = await Operator(channel).seen(lambda _: True)

    assert [each.host_id for each in seen.scorers] == ["h-1"]


def instances_over(place: PostgresqlPlace, engine: Engine) -> Instances:
    rooms = (ReportRoom(ROOM), ReportRoom(ROOM))
    observed = Observed(silent_after_s=30)
    return Instances(place, engine, observed, rooms, lambda: 0.0, lambda: datetime.now(UTC))


async def test_watchers_that_arrive_at_once_cost_two_transactions(
    database: PostgresqlPlace,
) -> None:
    engine, begun = open_database(database), 0

    def begin(_: Connection) -> None:
        nonlocal begun
        begun += 1

    event.listen(engine, "begin", begin)
    instances = instances_over(database, engine)

    found = await asyncio.gather(*[instances.exchange(asyncio.to_thread) for _ in range(20)])

    engine.dispose()
    assert begun == 2, "the one that runs, and one for all that came meanwhile"
    assert len({each.changes for each in found}) == 1


async def test_an_exchange_that_failed_is_made_again_by_the_next_caller(
    database: PostgresqlPlace,
) -> None:
    engine = open_database(database)
    instances = instances_over(database, engine)
    tries = 0

    async def run(work: Callable[[], T]) -> T:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)  # the others ask meanwhile
        if tries <= 2:
            raise UnavailableError("registry database", "away")
        return work()

    found = await asyncio.gather(
        *[instances.exchange(run) for _ in range(5)], return_exceptions=True
    )

    engine.dispose()
    assert [isinstance(each, UnavailableError) for each in found] == [True] * 2 + [False] * 3
    assert tries == 3
