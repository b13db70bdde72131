"""Turns of streams: a few messages in each turn of the event loop, in order of arrival."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.virtual_time import turns
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.open_streams import (
    MOST_MESSAGES_AT_ONCE,
    OpenStreams,
    StreamLimits,
    Write,
)
from understudy.runtime.stream_turns import StreamTurns

STREAMS = 64
LIMITS = StreamLimits(STREAMS, STREAMS, OpenLimits(256, 1 << 20), most_bytes_per_caller=1 << 30)
MANY_TURNS = 100

pytestmark = pytest.mark.virtual_time


class Reader:
    """A stream that counts its messages in `taken`, under its number."""

    def __init__(self, number: int, taken: Counter[int]) -> None:
        self._number = number
        self._taken = taken

    async def run(self, requests: AsyncIterator[bytes], _write: Write) -> None:
        async for _ in requests:
            self._taken[self._number] += 1

    def stop_reading(self) -> None:
        raise NotImplementedError  # no stream is told to end here


async def endless() -> AsyncIterator[bytes]:
    """Yield a message in each turn, as gRPC hands them over."""
    while True:
        yield b"message"
        await asyncio.sleep(0)


async def at_once(count: int) -> AsyncIterator[bytes]:
    """Yield messages without a turn between them, as those of one packet behind Envoy."""
    for _ in range(count):
        yield b"message"


async def read(number: int, taken: Counter[int], requests: AsyncIterator[bytes]) -> None:
    await Reader(number, taken).run(requests, write)


def cancel(running: Sequence[asyncio.Task[None]]) -> None:
    for each in running:
        each.cancel()


async def write(_message: bytes) -> None:
    raise AssertionError("no stream of these tests answers")


async def test_all_streams_together_take_a_few_messages_in_a_turn() -> None:
    """With one of each stream in each turn a new call, which takes several, waited for hundreds."""
    streams, taken, counts = OpenStreams(LIMITS), Counter[int](), []
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(streams.run(Reader(each, taken), endless(), write, caller="one"))
            for each in range(STREAMS)
        ]
        await turns()
        for _ in range(MANY_TURNS):
            before = taken.total()
            await turns(1)
            counts.append(taken.total() - before)
        cancel(running)

    assert counts == [MOST_MESSAGES_AT_ONCE] * MANY_TURNS
    assert max(taken.values()) - min(taken.values()) <= 1, "the streams take turns"


async def test_messages_that_arrive_at_once_are_taken_a_few_in_a_turn() -> None:
    taken, counts = Counter[int](), []
    async with asyncio.TaskGroup() as tasks:
        lone = tasks.create_task(read(0, taken, StreamTurns(3).taking(at_once(MANY_TURNS))))
        while not lone.done():
            before = taken.total()
            await turns(1)
            counts.append(taken.total() - before)

    assert taken[0] == MANY_TURNS
    assert max(counts) <= 3


async def test_a_lone_stream_with_a_message_in_each_turn_waits_for_no_other_turn() -> None:
    taken = Counter[int]()
    async with asyncio.TaskGroup() as tasks:
        lone = tasks.create_task(read(0, taken, StreamTurns(3).taking(endless())))
        await turns(MANY_TURNS)
        lone.cancel()

    assert taken[0] == MANY_TURNS


async def test_a_stream_that_ends_while_it_waits_takes_no_turn() -> None:
    shared, taken = StreamTurns(1), Counter[int]()
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(read(each, taken, shared.taking(endless()))) for each in range(4)
        ]
        await turns(2)
        cancel(running[:3])
        await turns()
        before = taken.copy()
        await turns(MANY_TURNS)
        cancel(running)

    assert (taken - before).keys() == {3}
    assert taken[3] - before[3] >= MANY_TURNS // 4, "its own rounds are all that it waits for"
