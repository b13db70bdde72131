"""Connections with frames: bounds on what is read and held, and their end."""

import asyncio
from pathlib import Path

import pytest

from scorer.server.frames_server import FramesServer, serving_frames
from tests.scorer.frames_client import frames_client
from tests.scorer.serving import OPEN
from tests.virtual_time import turns

WITHIN_S = 60.0


class HeldAnswers:
    """Answers requests when told."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.changed = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def answer(self, request: bytes) -> bytes:
        self.asked += 1
        self.changed.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            self.changed.set()
            raise
        return request

    async def until_asked(self, count: int) -> None:
        while self.asked < count:
            self.changed.clear()
            await self.changed.wait()


async def test_no_more_than_the_most_open_requests_are_read(tmp_path: Path) -> None:
    held = HeldAnswers()
    server = FramesServer(held.answer, "d", most_connections=9, open_requests=OPEN)
    async with (
        serving_frames(tmp_path / "s", server),
        frames_client(tmp_path / "s") as client,
        frames_client(tmp_path / "s") as other,
        asyncio.timeout(WITHIN_S),
    ):
        client.send(*(b"%d" % at for at in range(OPEN.most_messages + 50)))
        await held.until_asked(OPEN.most_messages)
        other.send(b"other")
        await held.until_asked(OPEN.most_messages + 1)
        await turns(100)  # each would take a request
        asked_at_most = held.asked
        held.may_answer.set()
        await client.message()
        answers = {await client.message() for _ in range(OPEN.most_messages + 50)}

    assert asked_at_most == OPEN.most_messages + 1
    assert answers == {b"%d" % at for at in range(OPEN.most_messages + 50)}


async def test_a_peer_that_does_not_read_is_not_read(tmp_path: Path) -> None:
    """Its answers fill the socket, and then requests wait in the kernel, not in the scorer."""
    answered = 0

    def answer(_request: bytes) -> bytes:
        nonlocal answered
        answered += 1
        return bytes(1 << 20)

    server = FramesServer(answer, "d", most_connections=9, open_requests=OPEN)
    async with (
        serving_frames(tmp_path / "s", server),
        frames_client(tmp_path / "s") as unread,
        frames_client(tmp_path / "s") as other,
        asyncio.timeout(WITHIN_S),
    ):
        unread.reader._transport.pause_reading()  # type: ignore[attr-defined]
        unread.send(*(b"x" for _ in range(1_000)))
        await other.message()
        for _ in range(20):
            other.send(b"x")
            await other.message()
        of_the_unread = answered - 20

        unread.reader._transport.resume_reading()  # type: ignore[attr-defined]
        await unread.message()
        for _ in range(1_000):
            assert len(await unread.message() or b"") == 1 << 20

    assert of_the_unread <= 2


async def test_requests_of_a_peer_that_has_left_are_given_up(tmp_path: Path) -> None:
    held = HeldAnswers()
    server = FramesServer(held.answer, "d", most_connections=9, open_requests=OPEN)
    async with serving_frames(tmp_path / "s", server), asyncio.timeout(WITHIN_S):
        async with frames_client(tmp_path / "s") as client:
            client.send(b"1", b"2")
            await held.until_asked(2)
        while held.cancelled < 2:
            held.changed.clear()
            await held.changed.wait()
        await server.until_none_is_open()

    assert held.cancelled == 2


async def test_requests_of_one_connection_leave_turns_to_others(tmp_path: Path) -> None:
    """Also if each is answered at once: a health check must not wait for a burst."""
    turned = 0
    seen: list[int] = []

    def answer(_request: bytes) -> bytes:
        seen.append(turned)
        return b"a"

    async def count_turns() -> None:
        nonlocal turned
        while True:
            turned += 1
            await asyncio.sleep(0)

    server = FramesServer(answer, "d", most_connections=9, open_requests=OPEN)
    async with serving_frames(tmp_path / "s", server), asyncio.timeout(WITHIN_S):
        counting = asyncio.ensure_future(count_turns())
        async with frames_client(tmp_path / "s") as client:
            client.send(*(b"x" for _ in range(50)))
            await client.message()
            for _ in range(50):
                await client.message()
        counting.cancel()

    assert len(set(seen)) == 50, "two requests were answered in one turn"


async def test_a_drain_answers_what_was_read_says_so_and_closes(tmp_path: Path) -> None:
    held = HeldAnswers()
    server = FramesServer(held.answer, "d", most_connections=9, open_requests=OPEN)
    async with (
        serving_frames(tmp_path / "s", server),
        frames_client(tmp_path / "s") as idle,
        frames_client(tmp_path / "s") as client,
        asyncio.timeout(WITHIN_S),
    ):
        await idle.message()
        client.send(b"1")
        await held.until_asked(1)
        server.end(600.0)
        client.send(b"2")
        async with frames_client(tmp_path / "s") as late:
            await late.ended()
        held.may_answer.set()

        assert [await idle.message(), await idle.message()] == [b"", None]
        assert [await client.message() for _ in range(3)] == [b"d", b"1", b""]
        await client.ended()
        await server.until_none_is_open()

    assert held.asked == 1


@pytest.mark.fault
async def test_a_drain_does_not_wait_beyond_its_grace(tmp_path: Path) -> None:
    """For a run that does not end, or a peer that reads nothing."""
    held = HeldAnswers()
    server = FramesServer(held.answer, "d", most_connections=9, open_requests=OPEN)
    async with (
        serving_frames(tmp_path / "s", server),
        frames_client(tmp_path / "s") as client,
        asyncio.timeout(WITHIN_S),
    ):
        client.send(b"1")
        await held.until_asked(1)
        server.end(0.01)
        await server.until_none_is_open()

    assert held.cancelled == 1
