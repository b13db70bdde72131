"""The memory used when the store does not answer, and the cache built on it."""

from collections.abc import Sequence
from math import inf

import pytest

from tests.features.builders import a_view, floats
from tests.features.fakes import FakeFeatureStore
from understudy.domain.errors import UnavailableError
from understudy.domain.patience import Experience
from understudy.features.decisions.store_rest import StoreRest
from understudy.features.ports import UNANSWERED, ViewRead
from understudy.features.serving.cached_store import CachedStore
from understudy.features.serving.last_known import LastKnownRecords

ONE, TWO = a_view("one", floats(1)), a_view("two", floats(1))
IDS = ["a", "b", "c"]


def test_answers_of_the_store_are_recalled_for_their_rows() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=10.0)
    memory.remember(
        [ViewRead(ONE, IDS), ViewRead(TWO, ["a"])], [[b"1", None, b"3"], [b"x"]], now_s=0
    )

    recalled = memory.recall([ViewRead(TWO, ["b", "a"]), ViewRead(ONE, IDS)], now_s=10.0)

    assert recalled.records == [[UNANSWERED, b"x"], [b"1", None, b"3"]]
    masks = [mask.tolist() for mask in recalled.from_memory if mask is not None]
    assert masks == [[False, True], [True, True, True]]


def test_records_that_are_too_old_are_not_recalled() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=10.0)
    memory.remember([ViewRead(ONE, ["a"])], [[b"1"]], now_s=0)

    recalled = memory.recall([ViewRead(ONE, ["a"])], now_s=10.5)

    assert recalled.records == [[UNANSWERED]]


def test_a_missing_answer_is_not_remembered_and_replaces_none() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=10.0)
    memory.remember([ViewRead(ONE, ["a", "b"])], [[b"1", b"2"]], now_s=0)
    memory.remember([ViewRead(ONE, ["a", "b"])], [[UNANSWERED, b"3"]], now_s=1)

    recalled = memory.recall([ViewRead(ONE, ["a", "b"])], now_s=1)

    assert recalled.records == [[b"1", b"3"]]


def test_only_rows_without_an_answer_are_filled() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=10.0)
    memory.remember([ViewRead(ONE, IDS)], [[b"1", b"2", b"3"]], now_s=0)

    reads = [ViewRead(ONE, IDS), ViewRead(TWO, ["z"])]
    filled = memory.fill(reads, [[None, UNANSWERED, b"new"], [b"z"]], now_s=1)

    assert filled.records == [[None, b"2", b"new"], [b"z"]]
    assert filled.from_memory[1] is None
    assert filled.from_memory[0] is not None
    assert filled.from_memory[0].tolist() == [False, True, False]


def test_the_memory_is_bounded_and_keeps_the_latest_records() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=1e9)
    for number in range(1000):
        memory.remember([ViewRead(ONE, [str(number)])], [[b"%d" % number]], now_s=number)
        assert len(memory) <= 100

    recalled = memory.recall([ViewRead(ONE, ["999", "950", "899"])], now_s=1000)

    assert recalled.records == [[b"999", b"950", UNANSWERED]]


async def test_the_cache_answers_until_its_records_expire() -> None:
    now_s = 0.0
    store = FakeFeatureStore()
    store.records = {(str(ONE), "a"): b"1", (str(ONE), "b"): b"2"}
    cache = CachedStore(store, ttl_s=5.0, max_records=100, monotonic_s=lambda: now_s)
    read = [ViewRead(ONE, ["a", None, "nobody"])]
    assert await cache.read(read, timeout_s=1.0) == [[b"1", None, None]]
    store.records[str(ONE), "a"] = b"changed"

    assert await cache.read([ViewRead(ONE, ["b", "a"])], timeout_s=1.0) == [[b"2", b"1"]]
    assert await cache.read(read, timeout_s=1.0) == [[b"1", None, None]]
    assert store.reads == 2
    assert cache.counters() == {
        "reads": 2,
        "cache_hits": 4,
        "cache_misses": 4,
        "cache_unanswered": 0,
    }

    now_s = 5.1
    assert await cache.read(read, timeout_s=1.0) == [[b"changed", None, None]]
    await cache.ping(timeout_s=1.0)
    await cache.close()
    with pytest.raises(UnavailableError):
        await cache.read([ViewRead(TWO, ["a"])], timeout_s=1.0)


async def test_the_cache_keeps_its_records_when_the_store_fails() -> None:
    now_s = 0.0
    store = FakeFeatureStore()
    store.records = {(str(ONE), name): name.encode() for name in "abc"}
    cache = CachedStore(store, ttl_s=50.0, max_records=100, monotonic_s=lambda: now_s)

    async def find(*ids: str | None) -> list[bytes | None]:
        (found,) = await cache.read([ViewRead(ONE, ids)], timeout_s=1.0)
        return found

    await find("a", None)
    store.why_down = "down"

    assert await find("b", "a", "c") == [UNANSWERED, b"a", UNANSWERED]
    with pytest.raises(UnavailableError):
        await find("b", "c", None)  # a row without an id has no record to keep
    assert cache.counts.unanswered == 2

    store.why_down = None
    assert await find("a", "b") == [
        b"a",
        UNANSWERED,
    ]  # the store is not queried so soon after a failure
    assert await find("c") == [b"c"]  # unless the read has no hits
    now_s = 1.5
    assert await find("a", "b") == [b"a", b"b"]


class Clock:
    """A monotonic clock that advances only when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


class SlowStore(FakeFeatureStore):
    """Takes 3 ms for a read, and fails with a shorter limit."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        self._clock.now_s += min(timeout_s, 0.003)
        if timeout_s < 0.003:
            raise UnavailableError("slow store", "no answer in time")
        return await super().read(reads, timeout_s=timeout_s)


async def test_a_caller_with_a_short_limit_does_not_keep_others_from_the_store() -> None:
    clock = Clock()
    store = SlowStore(clock)
    store.records = {(str(ONE), name): name.encode() for name in "abc"}
    cache = CachedStore(store, ttl_s=50.0, max_records=100, monotonic_s=clock.monotonic_s)
    await cache.read([ViewRead(ONE, ["a"])], timeout_s=0.05)

    hurried = await cache.read([ViewRead(ONE, ["a", "b"])], timeout_s=0.001)
    patient = await cache.read([ViewRead(ONE, ["a", "b"])], timeout_s=0.05)

    assert hurried == [[b"a", UNANSWERED]]
    assert patient == [[b"a", b"b"]]


async def test_an_unanswered_view_does_not_block_reads_of_others() -> None:
    store = FakeFeatureStore()
    store.records = {(str(view), name): name.encode() for view in (ONE, TWO) for name in "ab"}
    cache = CachedStore(store, ttl_s=50.0, max_records=100, monotonic_s=lambda: 0.0)
    for view in (ONE, TWO):
        await cache.read([ViewRead(view, ["a"])], timeout_s=1.0)

    store.why_down = "slow for this view"
    failed = await cache.read([ViewRead(TWO, ["a", "b"])], timeout_s=1.0)
    store.why_down = None
    found = await cache.read([ViewRead(ONE, ["a", "b"])], timeout_s=1.0)

    assert failed == [[b"a", UNANSWERED]]
    assert found == [[b"a", b"b"]]


@pytest.mark.parametrize(
    ("given_s", "usual_s", "unanswered_s", "rests"),
    [
        (0.001, 0.003, 0.0, False),
        (0.019, 0.003, 0.0, False),
        (0.02, 0.003, 0.0, True),
        (0.05, 0.03, 0.0, False),
        (0.1, 0.03, 0.0, True),
        (0.001, 0.003, 0.5, False),
        (0.001, 0.003, 1.0, True),  # no answer in a second of waiting
    ],
)
def test_a_store_rests_after_a_read_with_a_fair_limit_fails(
    given_s: float, usual_s: float, unanswered_s: float, rests: bool
) -> None:
    seen = StoreRest(experience=Experience(usual_s, unanswered_s))

    after = seen.after_failure(began_s=0.0, now_s=given_s, timeout_s=given_s)

    assert after.ends_s == (given_s + 1.0 if rests else -inf)


def test_idle_time_between_two_short_reads_does_not_count_as_waiting() -> None:
    first = StoreRest(experience=Experience(0.003)).after_failure(
        began_s=10.0, now_s=10.002, timeout_s=0.002
    )

    second = first.after_failure(began_s=60.0, now_s=60.002, timeout_s=0.002)

    assert second.ends_s == -inf


def test_a_store_that_fails_before_the_limit_rests() -> None:
    after = StoreRest(experience=Experience(0.003)).after_failure(
        began_s=0.0, now_s=0.001, timeout_s=0.01
    )

    assert after.ends_s == 1.001


def test_a_store_that_answers_again_is_not_counted_as_gone() -> None:
    seen = StoreRest(experience=Experience(unanswered_s=9.0)).after_answer(0.003)

    after = seen.after_failure(began_s=0.0, now_s=0.001, timeout_s=0.001)

    assert after.ends_s == -inf
    assert after.experience.usual_s == 0.003
