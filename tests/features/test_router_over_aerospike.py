"""The router's stages over the real Aerospike client, while its node misbehaves."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aerospike
import pytest
from structlog.testing import capture_logs

from router.batches.fetch_features import STORE_UNAVAILABLE
from tests.features import poison
from tests.features.aerospike_node import AerospikeNode, Faults, running_node
from tests.router.samples import MODEL, UTC_S, VIEW, deployment, spec
from tests.router.world import World, open_world
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.record_layouts import BinsLayout
from understudy.domain.snapshots import VersionSpec
from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.features.adapters.aerospike_store import AerospikeStore
from understudy.features.adapters.aerospike_writer import AerospikeWriter
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.scoring.v1 import scoring_pb2 as pb

pytestmark = pytest.mark.fault
TRIP_S = 0.05
PATIENT_S = 60.0
FULL, FEATURES = pb.DEGRADATION_LEVEL_FULL, pb.DEGRADATION_LEVEL_FEATURES
USERS = [f"u{number}" for number in range(8)]


@pytest.fixture
def node() -> Iterator[AerospikeNode]:
    with running_node() as started:
        yield started


@dataclass
class Router:
    world: World
    store: AerospikeStore

    async def scores(self) -> list[pb.ScoreResponse]:
        return list(
            await asyncio.gather(*[self.world.score(user, remaining_s=PATIENT_S) for user in USERS])
        )

    async def levels(self) -> set[int]:
        return {answer.degradation.level for answer in await self.scores()}

    async def until_full(self) -> None:
        async with asyncio.timeout(PATIENT_S):
            while await self.levels() != {FULL}:  # noqa: ASYNC110 - the client sends no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def router_over(
    node: AerospikeNode,
    *,
    view: FeatureView = VIEW,
    namespace: str = "features",
    trip_s: float = TRIP_S,
    cool_down_s: float = 0.01,
    version: VersionSpec | None = None,
) -> AsyncIterator[Router]:
    """Open a router; tests about answers and not about speed give it a trip of seconds."""
    options = AerospikeOptions((("127.0.0.1", node.port),), namespace)
    store = AerospikeStore(options, now_s=lambda: UTC_S)
    try:
        async with open_world(
            read_from=store, feature_slow_s=trip_s, cool_down_s=cool_down_s
        ) as world:
            specs = [version or spec(1, view=view)]
            await world.deploy(deployment(), ready={1: ["a"]}, specs=specs)
            yield Router(world, store)
    finally:
        node.resume()
        await store.close()


def load(node: AerospikeNode, *, view: FeatureView = VIEW, **more: str) -> None:
    form = record_format(view)
    writer = AerospikeWriter(AerospikeOptions((("127.0.0.1", node.port),), "features"))
    now_ms = round(UTC_S * 1000)
    record = pack_record(form, {"amount": 2.0, "count": 1.0, **more}, event_time_ms=now_ms)
    writer.write(view, [(user, record) for user in USERS], mark=None)
    writer.close_now()


def put_bins(node: AerospikeNode, bins: dict[str, Any], *, users: Sequence[str] = USERS) -> None:
    client = aerospike.client({"hosts": [("127.0.0.1", node.port)]})
    for user in users:
        client.put(("features", "others", user), bins)
    client.close()


async def test_features_are_read_over_the_real_client(node: AerospikeNode) -> None:
    load(node)
    async with router_over(node) as router:
        await router.until_full()
        answers = await router.scores()

    assert [answer.score for answer in answers] == [pytest.approx(20.001)] * len(USERS)


async def test_a_hung_node_degrades_answers_until_it_recovers(node: AerospikeNode) -> None:
    load(node)
    async with router_over(node) as router:
        await router.until_full()
        node.hang()

        for _ in range(30):
            async with asyncio.timeout(PATIENT_S):  # far below the hang, which lasts
                assert await router.levels() == {FEATURES}

        node.resume()
        await router.until_full()


async def test_once_the_breaker_is_open_answers_do_not_wait_for_a_hung_node(
    node: AerospikeNode,
) -> None:
    load(node)
    async with router_over(node, trip_s=0.5, cool_down_s=60.0) as router:
        await router.until_full()
        counters = router.world.counters
        before = counters.degraded[MODEL, STORE_UNAVAILABLE]
        node.hang()
        for _ in range(2):  # the failures that open the breaker; their answers wait for the trip
            assert await router.levels() == {FEATURES}
        reached = node.requests

        for _ in range(30):
            assert await router.levels() == {FEATURES}

        assert node.requests == reached
        assert counters.degraded[MODEL, STORE_UNAVAILABLE] - before == 32 * len(USERS)
        assert (counters.late_rows, counters.failures.total()) == (0, 0)


@pytest.mark.parametrize("faults", [Faults(delay_s=1.0), Faults(drop=True), Faults(result_code=18)])
async def test_answers_continue_at_a_lower_level_until_the_node_recovers(
    node: AerospikeNode, faults: Faults
) -> None:
    load(node)
    async with router_over(node) as router:
        await router.until_full()

        node.faults = faults
        assert await router.levels() == {FEATURES}

        node.faults = Faults()
        await router.until_full()


async def test_a_slow_node_is_waited_for_within_the_trip(node: AerospikeNode) -> None:
    load(node)
    async with router_over(node, trip_s=PATIENT_S) as router:
        node.faults = Faults(delay_s=0.3)  # far above any limit of the client's own

        assert await router.levels() == {FULL}


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_node_that_accepts_and_answers_nothing_costs_a_level_until_it_answers(
    node: AerospikeNode, *, is_running: bool
) -> None:
    # As a server 8.2 does while it joins its cluster.
    load(node)
    if not is_running:
        node.hang()
    async with router_over(node) as router:
        if is_running:
            await router.until_full()
            node.stop()
            node.hang()
            node.start()

        for _ in range(5):
            assert await router.levels() == {FEATURES}

        node.resume()
        await router.until_full()
        assert router.world.counters.failures.total() == 0


async def test_a_killed_node_is_used_again_after_its_restart(node: AerospikeNode) -> None:
    load(node)
    async with router_over(node) as router:
        await router.until_full()
        node.stop()
        for _ in range(5):
            assert await router.levels() == {FEATURES}

        node.start()
        await router.until_full()


async def test_a_partial_batch_costs_only_the_rows_that_were_not_answered(
    node: AerospikeNode,
) -> None:
    load(node)
    async with router_over(node, trip_s=5.0) as router:
        node.faults = Faults(answer_rows=3)

        assert await _levels_of_one_batch(router) == [FULL] * 3 + [FEATURES] * 5


async def _levels_of_one_batch(router: Router) -> list[int]:
    answer = await router.world.score_batch(USERS)
    return [int(each.level) for each in answer.results]


async def test_records_of_another_definition_are_not_read(node: AerospikeNode) -> None:
    # Same size, name and version, different meaning: what a redefinition leaves behind.
    other = FeatureView(VIEW.name, VIEW.version, "other", VIEW.features)
    load(node, view=other)
    async with router_over(node, trip_s=5.0) as router:
        with capture_logs() as lines:
            answers = await router.scores()
        counted = router.world.counters.wrong_digest_records

    assert [answer.score for answer in answers] == [pytest.approx(0.001)] * len(USERS)
    assert {answer.degradation.level for answer in answers} == {FEATURES}
    assert counted == len(USERS)
    assert "records_of_another_definition" in {each["event"] for each in lines}


async def test_records_of_the_largest_size_of_the_server_are_served(node: AerospikeNode) -> None:
    text = Feature("text", FeatureDtype.STRING)
    view = FeatureView("large", 1, "user", (*VIEW.features, text))
    version = replace(spec(1), feature_set=_refs(view)[:2], feature_views=(view,))
    load(node, view=view, text="x" * (1024 * 1024 - 1024))
    async with router_over(node, version=version, trip_s=5.0) as router:
        answers = await router.scores()

    assert [answer.score for answer in answers] == [pytest.approx(20.001)] * len(USERS)
    assert {answer.degradation.level for answer in answers} == {FULL}


def _refs(view: FeatureView) -> tuple[FeatureRef, ...]:
    return tuple(FeatureRef(view.name, view.version, each.name) for each in view.features)


async def test_a_missing_namespace_degrades_and_answers(node: AerospikeNode) -> None:
    async with router_over(node, namespace="elsewhere") as router:
        assert await router.levels() == {FEATURES}


@pytest.mark.parametrize(
    ("bins", "score", "level"),
    [
        ({"amount": 3.0, "count": 1.0}, 30.001, FULL),
        ({"amount": math.inf, "count": 1.0}, 0.001, FEATURES),
        ({"amount": -math.inf, "count": 1.0}, 0.001, FEATURES),
        ({"amount": "3", "count": 1.0}, 0.001, FEATURES),
        # Nulls, as far as records of bins can have them.
        ({"amount": math.nan, "count": 1.0}, 0.001, FULL),
        ({"count": 1.0}, 0.001, FULL),
    ],
)
async def test_odd_values_in_bins_become_the_default(
    node: AerospikeNode, bins: dict[str, Any], score: float, level: int
) -> None:
    view = FeatureView("others", 1, "user", VIEW.features, layout=BinsLayout("others"))
    put_bins(node, bins)
    async with router_over(node, view=view, trip_s=5.0) as router:
        answers = await router.scores()

    assert [answer.score for answer in answers] == [pytest.approx(score)] * len(USERS)
    assert {answer.degradation.level for answer in answers} == {level}


@pytest.mark.parametrize(
    ("odd", "score", "level"),
    [
        ({"amount": [3.0]}, 0.001, FEATURES),
        ({"amount": {"a": 3.0}}, 0.001, FEATURES),
        ({"amount": b"3"}, 0.001, FEATURES),
        ({"amount": True}, 0.001, FEATURES),
        ({"amount": 4}, 40.001, FULL),
        ({"amount": 3.0, "ts": 1.7e18}, 30.001, FEATURES),  # treated as the oldest possible: stale
    ],
)
async def test_one_odd_record_costs_only_its_own_values(
    node: AerospikeNode, odd: dict[str, Any], score: float, level: int
) -> None:
    view = FeatureView("others", 1, "user", VIEW.features, layout=BinsLayout("others", "ts"))
    put_bins(node, {"amount": 3.0, "count": 1.0})
    put_bins(node, {**odd, "count": 1.0}, users=USERS[:1])
    async with router_over(node, view=view, trip_s=5.0) as router:
        odd_one, *others = await router.scores()

    assert odd_one.score == pytest.approx(score)
    assert odd_one.degradation.level == level
    assert [answer.score for answer in others] == [pytest.approx(30.001)] * (len(USERS) - 1)
    assert {answer.degradation.level for answer in others} == {FULL}


async def test_a_record_that_cannot_be_decoded_costs_its_own_entity_one_level_until_it_is_mended(
    node: AerospikeNode,
) -> None:
    # No fallback is declared, so a call that the record failed would have an error.
    view = FeatureView("others", 1, "user", VIEW.features, layout=BinsLayout("others"))
    whole = {"amount": 3.0, "count": 1.0}
    put_bins(node, whole)
    a_list_that_ends_early = (20, b"\x93\x01")
    poison.put_bins(
        node.port, node.namespace, "others", USERS[0], {"amount": a_list_that_ends_early}
    )
    async with router_over(node, view=view, trip_s=PATIENT_S) as router:
        for _ in range(5):
            odd_one, *others = await router.scores()
            assert odd_one.degradation.level == FEATURES
            assert {answer.degradation.level for answer in others} == {FULL}

        put_bins(node, whole, users=USERS[:1])

        assert await router.levels() == {FULL}
        assert router.world.counters.failures.total() == 0
