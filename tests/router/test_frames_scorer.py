"""The hop of frames alone: one connection, gRPC where there is none, and bounds."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from router.adapters.frames_connection import FramesConnection
from router.adapters.open_oip_scorer import open_oip_scorer
from router.decisions.hop import Hop
from tests.router.hops import GOOD, LONG_S, hopped, until, with_id_of
from tests.router.samples import spec
from tests.virtual_time import skip
from understudy.domain.errors import CorruptedError, DeadlinePassedError, UnavailableError
from understudy.inference.frames import GREETING, LAST_FRAME, frame
from understudy.oip import inference_pb2 as oip
from understudy.runtime.transport.local_connections import (
    OwnUserProtocol,
    connect_to,
    listening_at,
)
from understudy.runtime.transport.transport import LOCAL

ROWS = (np.ones((3, 2), np.float32),)
DIGEST = spec(1).artifact_digest
BEGIN = GREETING + frame(DIGEST.encode())
pytestmark = pytest.mark.stopped_clock


class Peer(OwnUserProtocol):
    """The scorer's end, by hand."""

    def __init__(self, begin: bytes = BEGIN) -> None:
        self.begin = begin
        self.received = b""
        self.is_lost = False

    def connected(self) -> None:
        self.transport.write(self.begin)

    def data_received(self, received: bytes) -> None:
        self.received += received

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True


@asynccontextmanager
async def connected(folder: Path, peer: Peer) -> AsyncIterator[FramesConnection]:
    async with listening_at(folder / "s", lambda: peer):
        connection = await connect_to(folder / "s", lambda: FramesConnection("s"))
        try:
            yield connection
        finally:
            connection.close()


def request_of(request_id: str) -> bytes:
    return frame(oip.ModelInferRequest(id=request_id).SerializeToString())


def answer_to(request_id: str) -> bytes:
    return frame(with_id_of(oip.ModelInferRequest(id=request_id).SerializeToString(), GOOD))


async def test_one_connection_carries_all_requests(tmp_path: Path) -> None:
    async with hopped(Hop.FRAMES, tmp_path) as found:
        assert found.frames is not None
        found.process.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
            await until(lambda: len(found.process.requests) == 20)
            open_connections = found.frames.open_connections
            found.process.may_answer.set()

    assert open_connections == 1


async def test_answers_may_come_in_any_order(tmp_path: Path) -> None:
    peer = Peer()
    async with connected(tmp_path, peer) as connection:
        assert await connection.loaded() == DIGEST
        first = asyncio.ensure_future(connection.ask("1", request_of("1")))
        second = asyncio.ensure_future(connection.ask("2", request_of("2")))
        await until(lambda: peer.received == GREETING + request_of("1") + request_of("2"))
        peer.transport.write(answer_to("2") + answer_to("1"))

        assert (await second).infer_response.id == "2"
        assert (await first).infer_response.id == "1"


async def test_a_scorer_that_tells_of_no_frames_is_asked_over_grpc(tmp_path: Path) -> None:
    async with hopped(Hop.FRAMES, tmp_path) as found:
        await found.stop()
        await found.start(over_frames=False)
        await found.prove()
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        assert found.scorer.hop is Hop.GRPC


async def test_where_frames_are_gone_requests_go_over_grpc_until_they_are_back(
    tmp_path: Path,
) -> None:
    """As after a restart with an earlier release: no request fails for it."""
    async with hopped(Hop.FRAMES, tmp_path) as found:
        hops = []
        for over_frames in (True, False, True):
            await found.stop()
            await found.start(over_frames=over_frames)
            await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
            hops.append(found.scorer.hop)

    assert hops == [Hop.FRAMES, Hop.GRPC, Hop.FRAMES]


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\n", GREETING[:-1] + b"\x7f", b"", LAST_FRAME])
async def test_a_process_that_greets_in_another_way_gets_no_request(
    begin: bytes, tmp_path: Path
) -> None:
    """The requests go over gRPC instead."""
    async with hopped(Hop.FRAMES, tmp_path) as found:
        await found.stop()
        await found.start(over_frames=False)
        peers: list[Peer] = []

        def accept() -> Peer:
            peers.append(Peer(begin))
            return peers[-1]

        async with listening_at(tmp_path / "s.frames.sock", accept):
            asked = asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
            await until(lambda: peers and peers[0].received)
            if not begin:
                peers[0].transport.close()
            inferred = await asked

        assert inferred.scores.tolist() == [0.25, 0.5, 0.75]
        assert found.scorer.hop is Hop.GRPC
        assert [peer.received for peer in peers] == [GREETING]


async def test_a_scorer_on_a_port_is_asked_over_grpc() -> None:
    scorer = open_oip_scorer("127.0.0.1:1", None, LOCAL, Hop.FRAMES)

    assert scorer.hop is Hop.GRPC
    await scorer.close()


@pytest.mark.fault
async def test_no_request_goes_to_a_socket_of_another_user(tmp_path: Path) -> None:
    async with hopped(Hop.FRAMES, tmp_path) as found:
        await found.stop()
        await found.start()
        try:
            os.chown(tmp_path / "s.frames.sock", 4_242, -1)
        except PermissionError:
            pytest.skip("only root can give a file to another user")
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        assert found.scorer.hop is Hop.GRPC


@pytest.mark.fault
async def test_behind_a_socket_that_accepts_and_says_nothing_requests_go_over_grpc(
    tmp_path: Path,
) -> None:
    """As when another program of the same user is at the path. It is tried again after a while."""
    async with hopped(Hop.FRAMES, tmp_path) as found:
        await found.stop()
        await found.start(over_frames=False)
        peers: list[Peer] = []

        def accept() -> Peer:
            peers.append(Peer(b""))
            return peers[-1]

        async with listening_at(tmp_path / "s.frames.sock", accept):
            asked = [
                asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
                for _ in range(3)
            ]
            await until(lambda: peers and peers[0].received)
            skip(LONG_S / 4)
            inferred = [*await asyncio.gather(*asked)]
            inferred.append(await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
            tried = len(peers)
        await found.stop()
        await found.start()
        skip(1.0)
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)

        assert found.scorer.hop is Hop.FRAMES
    assert {tuple(each.scores.tolist()) for each in inferred} == {(0.25, 0.5, 0.75)}
    assert tried == 1


@pytest.mark.fault
async def test_a_stopped_process_costs_the_time_of_its_requests(tmp_path: Path) -> None:
    """The kernel accepts for it at both sockets, and nothing is sent twice."""
    async with hopped(Hop.FRAMES, tmp_path) as found:
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        found.process.may_answer.clear()
        asked = [
            asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=0.5))
            for _ in range(3)
        ]
        await until(lambda: len(found.process.requests) == 4)
        skip(0.5)
        ends = await asyncio.gather(*asked, return_exceptions=True)
        found.process.may_answer.set()

    assert [type(end) for end in ends] == [DeadlinePassedError] * 3
    assert len(found.process.requests) == 4, "a request that may be run was sent again"


async def test_requests_that_the_scorer_did_not_read_are_sent_again(tmp_path: Path) -> None:
    """It drains: it has said so with its last frame."""
    async with hopped(Hop.FRAMES, tmp_path) as found:
        await found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S)
        assert found.frames is not None
        found.process.may_answer.clear()
        read = asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await until(lambda: len(found.process.requests) == 2)
        found.frames.end(LONG_S)
        unread = asyncio.ensure_future(found.scorer.infer(spec(1), ROWS, timeout_s=LONG_S))
        await asyncio.sleep(0)
        found.process.may_answer.set()

        for each in (read, unread):
            assert (await each).scores.tolist() == [0.25, 0.5, 0.75]

    assert len(found.process.requests) == 3


async def test_an_answer_that_comes_twice_ends_the_connection(tmp_path: Path) -> None:
    peer = Peer()
    async with connected(tmp_path, peer) as connection:
        await connection.loaded()
        waiting = asyncio.ensure_future(connection.ask("2", request_of("2")))
        first = asyncio.ensure_future(connection.ask("1", request_of("1")))
        await until(lambda: request_of("1") in peer.received)
        peer.transport.write(answer_to("1") + answer_to("1"))

        assert (await first).infer_response.id == "1"
        with pytest.raises(CorruptedError, match="does not match"):
            await waiting
        assert not connection.is_open


async def test_a_scorer_that_answers_no_request_loses_its_connection(tmp_path: Path) -> None:
    """Otherwise the ids of requests that were given up would fill the memory."""
    peer = Peer()
    async with connected(tmp_path, peer) as connection:
        await connection.loaded()
        for number in range(257):
            asking = asyncio.ensure_future(connection.ask(str(number), request_of(str(number))))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
        await until(lambda: peer.is_lost)

        assert not connection.is_open


async def test_a_peer_that_does_not_read_holds_requests_back(tmp_path: Path) -> None:
    """They wait before the socket, within their time, and are sent when it reads again."""
    peer = Peer()
    large = frame(
        oip.ModelInferRequest(id="large", raw_input_contents=[bytes(8 << 20)]).SerializeToString()
    )
    async with connected(tmp_path, peer) as connection:
        await connection.loaded()
        peer.transport.pause_reading()
        first = asyncio.ensure_future(connection.ask("large", large))
        await asyncio.sleep(0)
        held = [asyncio.ensure_future(connection.ask(each, request_of(each))) for each in "abc"]
        for _ in range(10):
            await asyncio.sleep(0)
        held[0].cancel()
        buffered = connection.transport.get_write_buffer_size()
        peer.transport.resume_reading()
        await until(lambda: peer.received.endswith(request_of("b") + request_of("c")))
        peer.transport.write(answer_to("c") + answer_to("b") + answer_to("large"))
        answers = await asyncio.gather(first, *held[1:])

    assert buffered <= len(large)
    assert [answer.infer_response.id for answer in answers] == ["large", "b", "c"]
    assert request_of("a") not in peer.received


async def test_a_connection_that_ends_fails_all_that_wait(tmp_path: Path) -> None:
    peer = Peer()
    async with connected(tmp_path, peer) as connection:
        await connection.loaded()
        waiting = [asyncio.ensure_future(connection.ask(each, request_of(each))) for each in "ab"]
        await until(lambda: request_of("b") in peer.received)
        peer.transport.abort()
        ends = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(end) for end in ends] == [UnavailableError] * 2
    assert ends[0] is not ends[1]


async def test_a_replaced_connection_ends_with_its_last_answer(tmp_path: Path) -> None:
    peer = Peer()
    async with connected(tmp_path, peer) as connection:
        await connection.loaded()
        asked = asyncio.ensure_future(connection.ask("1", request_of("1")))
        await until(lambda: request_of("1") in peer.received)
        connection.replace()
        peer.transport.write(answer_to("1"))

        assert (await asked).infer_response.id == "1"
        await until(lambda: peer.is_lost)
