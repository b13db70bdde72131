"""InferStream without a socket: order, flow control, cancellation, and its end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from understudy.inference.infer_stream import AnswerRequest, InferStream
from understudy.runtime.open_requests import OpenBytes, OpenLimits, OpenRequests

WITHIN_S = 60.0


@dataclass
class Caller:
    """The other end of a stream without a socket: it half-closes after `to_send` unless it stays."""

    to_send: int
    stays: bool = False
    reads: bool = True
    taken: int = 0
    answers: list[bytes] = field(default_factory=list)
    size_bytes: int = 0  # of a request, or more

    async def requests(self) -> AsyncIterator[bytes]:
        for at in range(self.to_send):
            self.taken += 1
            yield (b"%d" % at).ljust(self.size_bytes)
        if self.stays:
            await asyncio.Event().wait()

    async def write(self, message: bytes) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        self.answers.append(message)


def stream_of(
    answer: AnswerRequest,
    *,
    most_messages: int = 256,
    most_bytes: int = 1 << 20,
    of_caller: OpenBytes | None = None,
) -> InferStream:
    limits = OpenLimits(most_messages, most_bytes)
    return InferStream(answer, OpenRequests(limits, of_caller or OpenBytes(1 << 30)))


async def turns(count: int = 200) -> None:
    """Let all runnable tasks continue."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_requests_whichever_is_done_first() -> None:
    release = [asyncio.Event() for _ in range(5)]

    async def answer(received: bytes) -> bytes:
        await release[int(received)].wait()
        return received

    caller = Caller(to_send=5)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream_of(answer).run(caller.requests(), caller.write))
        for at in (4, 2, 3, 1):
            release[at].set()
        await turns()
        assert caller.answers == []
        release[0].set()
        await running

    assert caller.answers == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_caller_that_does_not_read_is_not_read_from() -> None:
    async def answer(received: bytes) -> bytes:
        return received

    caller = Caller(to_send=100, reads=False)
    stream = stream_of(answer, most_messages=8)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), caller.write))
        await turns()
        assert caller.taken == 8
        running.cancel()


@pytest.mark.parametrize("at_once", [False, True])
async def test_answers_that_are_not_read_count_in_bytes(at_once: bool) -> None:
    async def later(answer: bytes) -> bytes:
        return answer

    def answer(received: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        large = received.ljust(1_000)
        return later(large) if received == b"0" else large

    caller = Caller(to_send=100, reads=False)
    stream = stream_of(answer, most_bytes=10_000)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), caller.write))
        await turns()
        assert 10 <= caller.taken <= 12
        running.cancel()


async def test_the_streams_of_one_caller_have_their_bytes_open_together() -> None:
    """Each had its 16 MiB before: 64 of them on a router's port held a gibibyte."""
    of_caller = OpenBytes(10_000)
    callers = [Caller(to_send=100, reads=False, size_bytes=1_000) for _ in range(4)]
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(stream_of(echo, of_caller=of_caller).run(each.requests(), each.write))
            for each in callers
        ]
        await turns()
        together = sum(each.taken for each in callers)
        for each in running:
            each.cancel()

    assert 10 <= together <= 10 + len(callers)  # each may read one more
    assert of_caller.size_bytes == 0
    assert not of_caller.waiting


async def test_a_stream_reads_on_beside_others_of_its_caller_that_hold_all_bytes() -> None:
    of_caller = OpenBytes(5_000)
    unread = Caller(to_send=100, reads=False, size_bytes=1_000)
    read = Caller(to_send=100, size_bytes=1_000)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        held = stream_of(echo, of_caller=of_caller)
        holding = tasks.create_task(held.run(unread.requests(), unread.write))
        await turns()
        other = stream_of(echo, of_caller=of_caller)
        await other.run(read.requests(), read.write)
        holding.cancel()

    assert len(read.answers) == 100
    assert unread.taken == 5


async def echo(received: bytes) -> bytes:
    return received


async def test_bytes_are_free_again_once_an_answer_is_written() -> None:
    async def answer(received: bytes) -> bytes:
        await asyncio.sleep(0)
        return received.ljust(1_000)

    caller = Caller(to_send=100)
    async with asyncio.timeout(WITHIN_S):
        await stream_of(answer, most_bytes=3_000).run(caller.requests(), caller.write)

    assert len(caller.answers) == 100


async def test_requests_beyond_the_bound_of_open_ones_are_all_answered() -> None:
    async def answer(received: bytes) -> bytes:
        await asyncio.sleep(0)
        return received

    caller = Caller(to_send=100)
    async with asyncio.timeout(WITHIN_S):
        await stream_of(answer, most_messages=3).run(caller.requests(), caller.write)

    assert caller.answers == [b"%d" % at for at in range(100)]


async def test_a_cancelled_stream_discards_its_unanswered_requests() -> None:
    cancelled = 0

    async def answer(_received: bytes) -> bytes:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    caller = Caller(to_send=5, stays=True)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream_of(answer).run(caller.requests(), caller.write))
        await turns()
        running.cancel()

    assert cancelled == 5


async def test_a_stream_that_stops_reading_answers_the_requests_it_has_read_and_ends() -> None:
    release = asyncio.Event()

    async def answer(received: bytes) -> bytes:
        await release.wait()
        return received

    caller = Caller(to_send=3, stays=True)
    stream = stream_of(answer)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), caller.write))
        await turns()
        stream.stop_reading()
        await turns()
        assert not running.done()
        release.set()
        await running

    assert caller.answers == [b"0", b"1", b"2"]


async def test_an_immediate_answer_waits_for_earlier_ones() -> None:
    release = asyncio.Event()

    async def later(received: bytes) -> bytes:
        await release.wait()
        return received

    def answer(received: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        return later(received) if received == b"1" else received

    caller = Caller(to_send=4)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream_of(answer).run(caller.requests(), caller.write))
        await turns()
        assert caller.answers == [b"0"]
        release.set()
        await running

    assert caller.answers == [b"0", b"1", b"2", b"3"]


async def test_a_stream_told_to_end_while_it_writes_finishes_that_answer_first() -> None:
    reads = asyncio.Event()
    answers: list[bytes] = []

    async def write(message: bytes) -> None:
        await reads.wait()
        answers.append(message)

    caller = Caller(to_send=5, stays=True)
    stream = stream_of(lambda received: received)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stream.run(caller.requests(), write))
        await turns()
        assert caller.taken == 1  # nothing is read while the answer is unread
        stream.stop_reading()
        await turns()
        assert not running.done()
        reads.set()
        await running

    assert answers == [b"0"]
