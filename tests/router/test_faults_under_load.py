"""Faults of scorers and of the feature store under load, with a router process; counted.

Calls have seconds, far more than a healthy router needs on a busy machine, and faults
last longer than that, or until they are ended. So the router alone decides which calls fail and at
which level they are answered, and not the machine's speed.
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

pytestmark = [pytest.mark.fault, pytest.mark.long]
FULL, FEATURES, CONSTANT = (
    DegradationLevel.FULL,
    DegradationLevel.FEATURES,
    DegradationLevel.CONSTANT,
)
DEADLINE_S = 4.0
PATIENT_S = 60.0  # for limits that must not be reached in a test
STORE_TRIP_S = 0.5
CALLS = 150


@asynccontextmanager
async def under_load(router: RouterProcess) -> AsyncIterator[Traffic]:
    """Send calls that the router ends at their deadline, before the client's own limit."""
    async with open_traffic(
        router.address,
        model=MODEL,
        entity="user",
        units=USERS,
        rate_per_s=200,
        connections=2,
        timeout_s=PATIENT_S,
    ) as traffic:
        await traffic.until_ended(CALLS)
        yield traffic


def levels(traffic: Traffic, *, since: int = 0) -> Counter[DegradationLevel]:
    return Counter(DegradationLevel(call.level) for call in traffic.calls[since:])


def versions(traffic: Traffic, *, since: int = 0) -> set[int]:
    return {call.version for call in traffic.calls[since:]}


async def until_full_again(traffic: Traffic) -> None:
    at_recovery = len(traffic.calls)

    async def is_full() -> bool:
        return levels(traffic, since=at_recovery)[FULL] > 0

    await until(is_full)


async def test_a_slow_scorer_without_replicas_fails_no_call_if_a_constant_is_declared(
    tmp_path: Path,
) -> None:
    scorer = ServedScorer()
    declared = deployment(fallback=Fallback(constant_score=0.25))
    async with (
        open_router_process(
            tmp_path,
            declared,
            {1: [scorer]},
            largest_deadline_s=0.5,
            scorer_timeout_s=PATIENT_S,  # it is slow, not gone
        ) as router,
        under_load(router) as traffic,
    ):
        at_fault = len(traffic.calls)
        scorer.takes_s = 1.0  # longer than any call has
        await traffic.until_ended(traffic.ended + 2 * CALLS)
        during = levels(traffic, since=at_fault)
        scorer.takes_s = 0.0
        await until_full_again(traffic)

    assert traffic.failures == []
    assert during[CONSTANT] > 0, "no call missed a deadline: nothing was tested"
    assert set(levels(traffic)) == {FULL, CONSTANT}


async def test_while_a_replica_is_slow_other_calls_are_answered_by_another(
    tmp_path: Path,
) -> None:
    slow, well = ServedScorer(), ServedScorer()
    async with (
        open_router_process(
            tmp_path,
            deployment(),
            {1: [slow, well]},
            largest_deadline_s=PATIENT_S,
            scorer_timeout_s=PATIENT_S,  # it is slow, not gone
        ) as router,
        under_load(router) as traffic,
    ):
        before = slow.batches
        slow.hang()
        await traffic.until_ended(traffic.ended + 3 * CALLS)
        asked = slow.batches - before
        slow.resume()

    assert asked > 0, "no call reached the slow one: nothing was tested"
    assert traffic.failures == []
    assert set(levels(traffic)) == {FULL}


async def test_a_hung_challenger_fails_no_call_the_champion_answers(tmp_path: Path) -> None:
    champion, challenger = ServedScorer(), ServedScorer()
    declared = deployment(challengers=(Challenger(2, 5_000),))
    scorers = {1: [champion], 2: [challenger]}
    async with (
        open_router_process(
            tmp_path,
            declared,
            scorers,
            largest_deadline_s=DEADLINE_S,
            scorer_timeout_s=PATIENT_S,  # a call's share of its deadline ends before
        ) as router,
        under_load(router) as traffic,
    ):
        at_fault = len(traffic.calls)
        challenger.hang()
        await traffic.until_ended(traffic.ended + 2 * CALLS)
        meanwhile = versions(traffic, since=-CALLS)
        challenger.resume()

        async def both_answer() -> bool:
            return versions(traffic, since=-CALLS // 2) == {1, 2}

        await until(both_answer)

    assert {call.version for call in traffic.calls[:at_fault]} == {1, 2}
    assert traffic.failures == []
    assert set(levels(traffic)) == {FULL}
    assert meanwhile == {1}


@asynccontextmanager
async def over_a_node(root: Path) -> AsyncIterator[tuple[NodeProcess, Traffic]]:
    """Open a router under load that reads from a healthy Aerospike node."""
    async with (
        open_node(root) as node,
        open_router_process(
            root,
            deployment(),
            {1: [ServedScorer()]},
            features=node.url,
            largest_deadline_s=DEADLINE_S,
            feature_slow_s=STORE_TRIP_S,
        ) as router,
        under_load(router) as traffic,
    ):
        await until_full_again(traffic)
        yield node, traffic


async def test_a_hung_feature_store_costs_values_and_no_call(tmp_path: Path) -> None:
    async with over_a_node(tmp_path) as (node, traffic):
        with node.hung():
            await traffic.until_ended(traffic.ended + 2 * CALLS)
            meanwhile = levels(traffic, since=-CALLS)
        await until_full_again(traffic)

    assert traffic.failures == []
    assert set(meanwhile) == {FEATURES}


async def test_a_killed_feature_store_costs_values_and_no_call(tmp_path: Path) -> None:
    async with over_a_node(tmp_path) as (node, traffic):
        await node.kill()
        await traffic.until_ended(traffic.ended + 2 * CALLS)
        meanwhile = levels(traffic, since=-CALLS)
        await node.start()
        await until_full_again(traffic)

    assert traffic.failures == []
    assert set(meanwhile) == {FEATURES}


async def test_a_slow_feature_store_costs_values_and_no_call(tmp_path: Path) -> None:
    async with over_a_node(tmp_path) as (node, traffic):
        at_fault = len(traffic.calls)
        async with node.slow(stops_s=2 * STORE_TRIP_S, runs_s=0.02):
            await traffic.until_ended(traffic.ended + 2 * CALLS)
        during = levels(traffic, since=at_fault)
        await until_full_again(traffic)

    assert traffic.failures == []
    assert during[FEATURES] > 0, "no read took too long: nothing was tested"
    assert set(levels(traffic)) == {FULL, FEATURES}
