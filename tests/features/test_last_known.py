"""What is remembered for when the store does not answer, and the cache made of it."""

import pytest

from domain.errors import UnavailableError
from features.cached_store import CachedStore
from features.last_known import LastKnownRecords
from features.ports import UNANSWERED, ViewRead
from tests.features.builders import a_view, floats
from tests.features.fakes import FakeFeatureStore

ONE, TWO = a_view("one", floats(1)), a_view("two", floats(1))
IDS = ["a", "b", "c"]


def test_what_the_store_answered_is_recalled_with_its_rows() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=10.0)
    memory.remember(
        [ViewRead(ONE, IDS), ViewRead(TWO, ["a"])], [[b"1", None, b"3"], [b"x"]], now_s=0
    )

    recalled = memory.recall([ViewRead(TWO, ["b", "a"]), ViewRead(ONE, IDS)], now_s=10.0)

    assert recalled.records == [[UNANSWERED, b"x"], [b"1", None, b"3"]]
    masks = [mask.tolist() for mask in recalled.from_memory if mask is not None]
    assert masks == [[False, True], [True, True, True]]


def test_what_is_too_old_is_not_recalled() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=10.0)
    memory.remember([ViewRead(ONE, ["a"])], [[b"1"]], now_s=0)

    recalled = memory.recall([ViewRead(ONE, ["a"])], now_s=10.5)

    assert recalled.records == [[UNANSWERED]]


def test_no_answer_is_not_remembered_and_does_not_replace_one() -> None:
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


def test_the_memory_is_bounded_and_keeps_what_was_seen_last() -> None:
    memory = LastKnownRecords(max_records=100, max_age_s=1e9)
    for number in range(1000):
        memory.remember([ViewRead(ONE, [str(number)])], [[b"%d" % number]], now_s=number)
        assert len(memory) <= 100

    recalled = memory.recall([ViewRead(ONE, ["999", "950", "899"])], now_s=1000)

    assert recalled.records == [[b"999", b"950", UNANSWERED]]


async def test_the_cache_answers_what_it_read_until_its_time_is_over() -> None:
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
    assert cache.read_now(read) == [[b"changed", None, None]]
    await cache.ping(timeout_s=1.0)
    await cache.close()
    with pytest.raises(UnavailableError):
        await cache.read([ViewRead(TWO, ["a"])], timeout_s=1.0)


async def test_what_the_cache_holds_is_kept_when_the_store_fails() -> None:
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
        await find("b", "c", None)  # a row without an id has nothing to keep
    assert cache.counts.unanswered == 2

    store.why_down = None
    assert await find("a", "b") == [b"a", UNANSWERED]  # it is not asked so soon
    assert await find("c") == [b"c"]  # but for those who would have nothing
    now_s = 1.5
    assert await find("a", "b") == [b"a", b"b"]
