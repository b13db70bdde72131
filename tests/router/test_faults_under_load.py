"""Faults of scorers and of the feature store under load, before a router process; counted.

The router gives each call 100 ms, its default, and ends it then; the client itself would wait for
longer. So what fails is what the router failed, and not what this machine delayed.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.traffic import Traffic, open_traffic
from tests.router.router_process import (
    USERS,
    NodeProcess,
    RouterProcess,
    ServedScorer,
    open_node,
    open_router_process,
)
from tests.router.samples import MODEL, deployment
from tests.stack.waiting import until
from understudy.domain.deployments import Challenger, DegradationLevel, Fallback

pytestmark = [pytest.mark.fault, pytest.mark.slow]
FULL, FEATURES, CONSTANT = (
    DegradationLevel.FULL,
    DegradationLevel.FEATURES,
    DegradationLevel.CONSTANT,
)
DEADLINE_S = 0.1
SLOW_S = 0.06
CALLS = 150


MOST_LATE_SHARE = 0.1  # of the calls: those that the machine held up, and not the router


@asynccontextmanager
async def under_load(router: RouterProcess) -> AsyncIterator[Traffic]:
    async with open_traffic(
        router.address, model=MODEL, entity="user", units=USERS, rate_per_s=200, connections=2
    ) as traffic:
        await traffic.until_ended(CALLS)
        yield traffic
    late = sum(call.latency_s > DEADLINE_S for call in traffic.calls)
    assert late <= MOST_LATE_SHARE * len(traffic.calls)


def levels(traffic: Traffic, *, since: int = 0) -> Counter[DegradationLevel]:
    return Counter(DegradationLevel(call.level) for call in traffic.calls[since:])


def versions(traffic: Traffic, *, since: int = 0) -> set[int]:
    return {call.version for call in traffic.calls[since:]}


async def until_all_full(traffic: Traffic) -> None:
    async def is_full() -> bool:
        return set(levels(traffic, since=-CALLS)) == {FULL}

    await until(is_full, limit_s=20.0)


async def test_a_slow_scorer_alone_fails_no_call_where_a_constant_is_declared(
    tmp_path: Path,
) -> None:
    scorer = ServedScorer()
    declared = deployment(fallback=Fallback(constant_score=0.25))
    async with (
        open_router_process(
            tmp_path, declared, {1: [scorer]}, largest_deadline_s=DEADLINE_S
        ) as router,
        under_load(router) as traffic,
    ):
        at_fault = len(traffic.calls)
        scorer.takes_s = SLOW_S
        await traffic.until_ended(traffic.ended + 2 * CALLS)
        during = levels(traffic, since=at_fault)
        scorer.takes_s = 0.0
        await until_all_full(traffic)

    assert traffic.failures == []
    assert during[CONSTANT] > 0, "it was not slow enough to miss a deadline"
    assert set(levels(traffic)) == {FULL, CONSTANT}


async def test_a_slow_replica_fails_no_call_and_others_are_answered_by_its_neighbour(
    tmp_path: Path,
) -> None:
    slow, well = ServedScorer(), ServedScorer()
    async with (
        open_router_process(
            tmp_path, deployment(), {1: [slow, well]}, largest_deadline_s=DEADLINE_S
        ) as router,
        under_load(router) as traffic,
    ):
        before = slow.batches
        slow.takes_s = SLOW_S
        await traffic.until_ended(traffic.ended + 3 * CALLS)
        asked = slow.batches - before

    assert asked > 0, "nobody asked the slow one: nothing was tested"
    assert traffic.failures == []
    assert set(levels(traffic)) == {FULL}


async def test_a_hung_challenger_fails_no_call_the_champion_answers(tmp_path: Path) -> None:
    champion, challenger = ServedScorer(), ServedScorer()
    declared = deployment(challengers=(Challenger(2, 5_000),))
    scorers = {1: [champion], 2: [challenger]}
    async with (
        open_router_process(tmp_path, declared, scorers, largest_deadline_s=DEADLINE_S) as router,
        under_load(router) as traffic,
    ):
        at_fault = len(traffic.calls)
        challenger.hang()
        await traffic.until_ended(traffic.ended + 2 * CALLS)
        meanwhile = versions(traffic, since=-CALLS)
        challenger.resume()

        async def both_answer() -> bool:
            return versions(traffic, since=-CALLS // 2) == {1, 2}

        await until(both_answer, limit_s=20.0)

    assert {call.version for call in traffic.calls[:at_fault]} == {1, 2}
    assert traffic.failures == []
    assert set(levels(traffic)) == {FULL}
    assert meanwhile == {1}


@asynccontextmanager
async def over_a_node(root: Path) -> AsyncIterator[tuple[NodeProcess, Traffic]]:
    """Open a router under load that reads from an Aerospike node; all is well."""
    async with (
        open_node(root) as node,
        open_router_process(
            root,
            deployment(),
            {1: [ServedScorer()]},
            features=node.url,
            # More than the store may cost (50 ms): a call fails for it, not for a held-up machine.
            # Those that take longer than `DEADLINE_S` are few (`under_load`).
            largest_deadline_s=5 * DEADLINE_S,
        ) as router,
        under_load(router) as traffic,
    ):
        await until_all_full(traffic)
        yield node, traffic


async def test_a_hung_feature_store_costs_values_and_no_call(tmp_path: Path) -> None:
    async with over_a_node(tmp_path) as (node, traffic):
        with node.hung():
            await traffic.until_ended(traffic.ended + 2 * CALLS)
            meanwhile = levels(traffic, since=-CALLS)
        await until_all_full(traffic)

    assert traffic.failures == []
    assert set(meanwhile) == {FEATURES}


async def test_a_killed_feature_store_costs_values_and_no_call(tmp_path: Path) -> None:
    async with over_a_node(tmp_path) as (node, traffic):
        await node.kill()
        await traffic.until_ended(traffic.ended + 2 * CALLS)
        meanwhile = levels(traffic, since=-CALLS)
        await node.start()
        await until_all_full(traffic)

    assert traffic.failures == []
    assert set(meanwhile) == {FEATURES}


async def test_a_slow_feature_store_costs_values_and_no_call(tmp_path: Path) -> None:
    async with over_a_node(tmp_path) as (node, traffic):
        at_fault = len(traffic.calls)
        async with node.slow(stops_s=0.2, runs_s=0.005):
            await traffic.until_ended(traffic.ended + 2 * CALLS)
        during = levels(traffic, since=at_fault)
        await until_all_full(traffic)

    assert traffic.failures == []
    assert during[FEATURES] > during[FULL]
    assert set(levels(traffic)) == {FULL, FEATURES}
