"""Fetching: one read per batch, and memory for answers that a remote store does not give."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from router.batches.fetch_features import STORE_ANSWERED_IN_PART, STORE_UNAVAILABLE, FeatureFetcher
from router.calls.call import Call, Candidates
from router.decisions.breaker import BreakerPolicy
from tests.router.builders import bare_call
from tests.router.fakes import FakeStore, RemoteStore
from tests.router.samples import UTC_S, VIEW, spec
from understudy.domain.errors import UnavailableError
from understudy.domain.features import FeatureRef
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.features.ports import ViewRead
from understudy.features.serving.assembly import compile_plan
from understudy.features.serving.last_known import LastKnownRecords

PLAN = compile_plan(spec(1).feature_set, spec(1).feature_views, spec(1).inputs)


def call(entity: str, *, ids: list[str] | None = None) -> Call:
    candidates = None
    if ids is not None:
        candidates = Candidates("user", ids, range(len(ids)), None, {}, 0, is_sorted=False)
    entities = {"user": entity} if entity else {}
    return bare_call("r", entities=entities, answer_by_s=10.0, candidates=candidates)


@pytest.fixture
def store() -> RemoteStore:
    store = RemoteStore()
    for index in range(10):
        store.put(VIEW, f"u{index}", {"amount": float(index), "count": 1.0})
    return store


def fetcher(
    store: FakeStore, *, remembers: bool = True, now_s: Callable[[], float] = lambda: 0.0
) -> FeatureFetcher:
    return FeatureFetcher(
        store,
        policy=BreakerPolicy(trip_after_failures=2, cool_down_s=60.0, probe_timeout_s=1.0),
        slow_s=1.0,
        now_s=now_s,
        memory=LastKnownRecords(max_records=100, max_age_s=60.0) if remembers else None,
    )


async def test_remembered_records_replace_those_of_a_failing_store(store: RemoteStore) -> None:
    features = fetcher(store)
    before = await features.fetch(PLAN, [call("u1"), call("u2")], answer_by_s=1.0)
    store.failing = True

    fetched = await features.fetch(PLAN, [call("u1"), call("u5")], answer_by_s=1.0)

    assert fetched.gap == STORE_UNAVAILABLE
    assert fetched.records[0][0] == before.records[0][0]
    assert fetched.from_memory is not None
    assert fetched.from_memory[0] is not None
    assert fetched.from_memory[0].tolist() == [True, False]


async def test_an_unanswered_part_is_filled_and_reported(store: RemoteStore) -> None:
    features = fetcher(store)
    await features.fetch(PLAN, [call("u1")], answer_by_s=1.0)
    store.silent = {"u1", "u3"}

    fetched = await features.fetch(PLAN, [call("u1"), call("u2"), call("u3")], answer_by_s=1.0)
    assembled = PLAN.assemble(fetched.records, None, now_s=UTC_S, last_known=fetched.from_memory)

    assert fetched.gap == STORE_ANSWERED_IN_PART
    assert assembled.tensors[0][:, 0].tolist() == [1.0, 2.0, 0.0]


async def test_an_open_breaker_spares_the_store(store: RemoteStore) -> None:
    features = fetcher(store, remembers=False)
    store.failing = True
    for _ in range(2):
        await features.fetch(PLAN, [call("u1")], answer_by_s=1.0)
    store.failing = False
    reads_before = len(store.reads)

    fetched = await features.fetch(PLAN, [call("u1")], answer_by_s=1.0)

    assert features.is_open
    assert (fetched.gap, len(store.reads)) == (STORE_UNAVAILABLE, reads_before)


class SlowStore(FakeStore):
    """Answers every read after `takes_s` on its own clock."""

    def __init__(self, takes_s: float) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.now_s = 0.0

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        self.now_s += self.takes_s
        return await super().read(reads, timeout_s=timeout_s)


@pytest.mark.parametrize(("takes_s", "opens"), [(1.0, False), (1.01, True)])
async def test_slow_reads_open_the_breaker(*, takes_s: float, opens: bool) -> None:
    store = SlowStore(takes_s)
    features = fetcher(store, now_s=lambda: store.now_s)

    for _ in range(3):
        await features.fetch(PLAN, [call("u1")], answer_by_s=100.0)

    assert features.is_open == opens
    assert len(store.reads) == (2 if opens else 3)


async def test_rows_keep_their_order_among_candidates(store: RemoteStore) -> None:
    calls = [call("u1"), call("", ids=["u2", "u3", "u4"]), call("u5")]

    fetched = await fetcher(store).fetch(PLAN, calls, answer_by_s=1.0)

    assembled = PLAN.assemble(fetched.records, None, now_s=UTC_S)
    assert assembled.tensors[0][:, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_candidates_share_the_record_of_their_calls_other_entity(store: RemoteStore) -> None:
    shops = replace(VIEW, name="shop", entity="shop")
    store.put(shops, "s1", {"amount": 7.0, "count": 1.0})
    store.put(shops, "s2", {"amount": 8.0, "count": 1.0})
    inputs = (TensorSpec("x", "FP32", (DYNAMIC, 2)),)
    names = (FeatureRef("user", 1, "amount"), FeatureRef("shop", 1, "amount"))
    plan = compile_plan(names, (VIEW, shops), inputs)
    calls = [
        bare_call(
            shop,
            entities={"shop": shop},
            answer_by_s=10.0,
            candidates=Candidates("user", ids, range(len(ids)), None, {}, 0, is_sorted=False),
        )
        for shop, ids in (("s1", ["u2", "u3"]), ("s2", ["u4"]))
    ]

    fetched = await fetcher(store).fetch(plan, calls, answer_by_s=1.0)

    assembled = plan.assemble(fetched.records, None, now_s=UTC_S)
    assert assembled.tensors[0].tolist() == [[2.0, 7.0], [3.0, 7.0], [4.0, 8.0]]


async def test_candidates_keep_their_marks_when_the_store_fails(store: RemoteStore) -> None:
    features = fetcher(store)
    await features.fetch(PLAN, [call("u3")], answer_by_s=1.0)
    store.failing = True

    fetched = await features.fetch(PLAN, [call("u1"), call("", ids=["u2", "u3"])], answer_by_s=1.0)

    assert fetched.from_memory is not None
    assert fetched.from_memory[0] is not None
    assert fetched.from_memory[0].tolist() == [False, False, True]


class HungStore(RemoteStore):
    """A store that never answers; the clock shows the time limit of each read."""

    now_s = 0.0

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        self.given_s.append(timeout_s)
        self.now_s += timeout_s
        raise UnavailableError("feature store", "no answer in time")


@pytest.mark.parametrize(("left_s", "reads"), [(0.01, 6), (0.2, 2)])
async def test_only_reads_with_enough_time_open_the_stores_breaker(
    left_s: float, reads: int
) -> None:
    store = HungStore()
    features = FeatureFetcher(
        store,
        policy=BreakerPolicy(trip_after_failures=2, cool_down_s=60.0, probe_timeout_s=1.0),
        slow_s=1.0,
        now_s=lambda: store.now_s,
    )

    for _ in range(6):
        await features.fetch(PLAN, [call("u1")], answer_by_s=store.now_s + left_s)

    assert len(store.given_s) == reads
