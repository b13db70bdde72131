"""The lane: queued calls go together, in order of priority; each row once."""

import asyncio

import pytest

from router.calls.call import Call
from router.decisions.priority import Priority
from router.lanes.lane import Lane
from tests.router.builders import bare_call
from tests.router.world import awaited

pytestmark = pytest.mark.virtual_time


def call(name: str = "w", *, rows: int = 1, priority: Priority = Priority.LIVE) -> Call:
    return bare_call(name, rows=rows, priority=priority)


def open_lane() -> Lane:
    lane = Lane()
    lane.open_pullers = 1
    return lane


async def test_a_lane_without_scorers_accepts_no_calls() -> None:
    lane = open_lane()
    lane.open_pullers = 0

    assert not lane.put(call())
    assert lane.queued_rows == 0


async def test_single_calls_go_before_streams_and_batches() -> None:
    lane = open_lane()
    for name, priority in [("b", Priority.BATCH), ("s", Priority.STREAM), ("l", Priority.LIVE)]:
        lane.put(call(name, priority=priority))

    taken = await lane.take(256)

    assert [each.request_id for each in taken] == ["l", "s", "b"]


async def test_a_batch_ends_at_its_most_rows_and_the_rest_waits() -> None:
    lane = open_lane()
    for index in range(5):
        lane.put(call(str(index)))

    first, second = await lane.take(3), await lane.take(3)

    assert [len(first), len(second)] == [3, 2]
    assert lane.queued_rows == 0


async def test_work_larger_than_a_batch_goes_alone() -> None:
    lane = open_lane()
    lane.put(call("large", rows=1_000))
    lane.put(call("small"))

    assert [each.request_id for each in await lane.take(256)] == ["large"]
    assert [each.request_id for each in await lane.take(256)] == ["small"]


async def test_work_of_a_lower_priority_is_passed_over_only_a_few_times() -> None:
    lane = open_lane()
    lane.put(call("candidates", rows=300, priority=Priority.BATCH))
    taken: list[str] = []
    for index in range(8):
        lane.put(call(f"live-{index}"))
        taken += [each.request_id for each in await lane.take(256)]

    assert taken.index("candidates") == 3
    assert taken.count("live-3") == 1


async def test_calls_passed_over_get_one_turn_however_many_they_are() -> None:
    lane = open_lane()
    for index in range(100):
        lane.put(call(f"stream-{index}", priority=Priority.STREAM))
    lane.put(call("candidates", priority=Priority.BATCH))
    begun_by_live = 0
    for index in range(12):
        for place in range(8):
            lane.put(call(f"live-{index}-{place}"))
        begun_by_live += (await lane.take(8))[0].priority is Priority.LIVE

    assert begun_by_live == 9


async def test_calls_that_were_put_back_go_first() -> None:
    lane = open_lane()
    for name in "abc":
        lane.put(call(name))
    taken = await lane.take(2)
    lane.put_back(taken)

    assert [each.request_id for each in await lane.take(256)] == ["a", "b", "c"]


async def test_a_closed_lane_gives_its_remaining_calls_and_then_none() -> None:
    lane = open_lane()
    lane.put(call())
    lane.close()

    assert len(await lane.take(256)) == 1
    lane.release()
    assert await lane.take(256) == []


async def test_a_closed_lane_is_served_until_taken_calls_are_done() -> None:
    lane = open_lane()
    lane.put(call())
    taken = await lane.take(256)
    lane.close()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        other = tasks.create_task(lane.take(256))
        await asyncio.sleep(0)
        lane.put_back(taken)  # its scorer died
        lane.release()

    assert other.result() == taken


async def test_closing_ends_waiting_scorers() -> None:
    lane = open_lane()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(lane.take(256)) for _ in range(3)]
        await asyncio.sleep(0)
        lane.close()

    assert [each.result() for each in waiting] == [[], [], []]


async def test_only_calls_that_are_due_or_unwanted_are_removed() -> None:
    lane = open_lane()
    due = bare_call("due", answer_by_s=1.0)
    gone, fresh = (bare_call(name, answer_by_s=3.0) for name in ("gone", "fresh"))
    for each in (due, gone, fresh):
        lane.put(each)
    awaited(gone).cancel()

    removed = lane.take_if(lambda each: each.answer_by_s <= 2.0 or each.answer.done())

    assert {each.request_id for each in removed} == {"due", "gone"}
    assert [each.request_id for each in lane] == ["fresh"]
    assert lane.queued_rows == 1
