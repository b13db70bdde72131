"""ScoreStream: flow control, failures of single messages, disconnects, and the end of a stream."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest

from router.decisions.priority import Priority
from tests.router.fakes import FakeScorer
from tests.router.samples import MODEL
from tests.router.served import LIMITS, Served, open_served
from tests.router.world import until
from tests.virtual_time import turns
from understudy.client.answers import StreamAnswer
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.errors import FailureKind
from understudy.runtime.grpc_errors import PUSHBACK_KEY
from understudy.runtime.lifecycle import DrainTimes, serve_until_stopped
from understudy.runtime.protobuf_bytes import varint
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.scoring.v1 import scoring_pb2_grpc

MOST_OPEN = 256
MOST_OPEN_BYTES = 1 << 20
UNKNOWN = b"\xfa\x01"  # field 31, length-delimited
LONG_S = 120.0  # a limit that only ends a hang
CUT_S = 60.0  # a grace period that ends in a cut


@dataclass
class Caller:
    """The other end of a stream without a socket, with sent and received messages."""

    to_send: list[bytes]
    stays: bool = False  # it sends one more message when allowed, and does not half-close
    more: asyncio.Event = field(default_factory=asyncio.Event)
    reads: bool = True
    taken: int = 0
    answers: list[pb.ScoreStreamResponse] = field(default_factory=list)
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def requests(self) -> AsyncIterator[bytes]:
        for message in self.to_send:
            self.taken += 1
            yield message
        if self.stays:
            await self.more.wait()
            self.taken += 1
            yield self.to_send[0]
            await asyncio.Event().wait()

    async def write(self, message: bytes) -> None:
        if not self.reads:
            await self.room.acquire()
        self.answers.append(pb.ScoreStreamResponse.FromString(message))

    def peer(self) -> str:
        return "ipv4:127.0.0.1:40000"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    @asynccontextmanager
    async def streaming(self, served: Served) -> AsyncIterator[asyncio.Task[None]]:
        """Run the call; on leaving, the caller disconnects."""
        context: Any = self  # of the context the service uses only these methods
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(served.service.score_stream(self.requests(), context))
            yield call
            call.cancel()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with open_served() as served:
        yield served


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def request(index: int, **fields: Any) -> pb.ScoreRequest:
    entities = {"user": f"u{index % 300}"}
    return pb.ScoreRequest(model=MODEL, entities=entities, request_id=f"s{index}", **fields)


def streamed(asked: pb.ScoreRequest) -> pb.ScoreStreamRequest:
    return pb.ScoreStreamRequest(request=asked)


def requests(count: int, **fields: Any) -> list[bytes]:
    return [streamed(request(index, **fields)).SerializeToString() for index in range(count)]


def hold(scorer: FakeScorer) -> asyncio.Event:
    """Let calls to the scorer wait for the returned event."""
    scorer.release = asyncio.Event()
    return scorer.release


def ids(answers: Sequence[pb.ScoreStreamResponse] | Sequence[StreamAnswer]) -> list[str]:
    return [answer.request_id for answer in answers]


async def test_a_stream_with_a_mebibyte_open_is_not_read_until_a_message_is_answered(
    served: Served,
) -> None:
    unknown_field = UNKNOWN + varint(40_000) + bytes(40_000)
    caller = Caller([message + unknown_field for message in requests(100)])
    size_bytes = len(caller.to_send[0])
    releases = [hold(scorer) for scorer in served.world.scorers.values()]

    async with caller.streaming(served) as call:
        await until(lambda: caller.taken > MOST_OPEN_BYTES // size_bytes)
        await turns(100)
        assert caller.taken == MOST_OPEN_BYTES // size_bytes + 1
        for release in releases:
            release.set()
        await call

    assert caller.taken == len(caller.answers) == 100


async def test_an_id_that_is_too_long_is_refused_and_not_echoed(served: Served) -> None:
    entities = {"user": "u1"}
    message = streamed(pb.ScoreRequest(model=MODEL, entities=entities, request_id="r" * 257))
    caller = Caller([message.SerializeToString(), *requests(1)])

    async with caller.streaming(served) as call:
        await call

    assert sorted(ids(caller.answers)) == ["", "s0"]
    refused = next(answer for answer in caller.answers if not answer.request_id)
    assert refused.error.message == "request_id: read 257 characters; accepted: at most 256"


async def test_streams_beyond_the_limit_of_an_address_are_refused_until_one_ends() -> None:
    limits = replace(LIMITS, streams=replace(LIMITS.streams, most=3, most_per_caller=2))
    async with open_served(limits=limits) as served:
        async with (
            Caller([], stays=True).streaming(served),
            Caller([], stays=True).streaming(served),
        ):
            refused = served.stub.ScoreStream()
            status = await refused.code()
            details, trailers = await refused.details(), dict(await refused.trailing_metadata())

        again = served.stub.ScoreStream()
        await again.write(streamed(request(1)))
        answer = await again.read()
        again.cancel()

    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details == "the list of streams of one address (2) is full; retry after 1000 ms"
    assert trailers[PUSHBACK_KEY] == "1000"
    assert answer.request_id == "s1"


async def test_a_stream_with_256_open_is_not_read_until_one_is_answered(served: Served) -> None:
    caller = Caller(requests(400), reads=False)

    async with caller.streaming(served) as call:
        await until(lambda: caller.taken >= MOST_OPEN)
        await until(lambda: served.world.gate.outstanding_rows == 0)  # scored, but not written
        assert caller.taken == MOST_OPEN

        caller.room.release()
        await until(lambda: caller.taken > MOST_OPEN)
        assert caller.taken == MOST_OPEN + 1

        caller.reads = True
        caller.room.release()
        await call

    assert sorted(ids(caller.answers)) == sorted(f"s{index}" for index in range(400))


async def test_the_streams_of_one_address_have_their_bytes_open_together() -> None:
    padded = [message + UNKNOWN + varint(40_000) + bytes(40_000) for message in requests(30)]
    most_bytes = 10 * len(padded[0])
    limits = replace(LIMITS, streams=replace(LIMITS.streams, most_bytes_per_caller=most_bytes))
    async with open_served(limits=limits) as served:
        releases = [hold(scorer) for scorer in served.world.scorers.values()]
        first, second = Caller(padded), Caller(padded)
        async with first.streaming(served) as one, second.streaming(served) as other:
            await until(lambda: first.taken + second.taken >= 10)
            await turns(200)
            assert first.taken + second.taken <= 12  # each may read one more
            for release in releases:
                release.set()
            await asyncio.gather(one, other)

    assert len(first.answers) == len(second.answers) == 30


async def test_an_answered_message_is_freed_without_the_collector(
    served: Served, no_collection: None
) -> None:
    """Messages of 40 kB stayed until a collection: 64 streams held 100 MiB more than was in flight."""
    caller = Caller([bytes(bytearray(message)) for message in requests(20)])
    before = [sys.getrefcount(message) for message in caller.to_send]

    async with caller.streaming(served) as call:
        await call

    assert len(caller.answers) == 20
    assert [sys.getrefcount(message) for message in caller.to_send] == before


async def test_a_full_router_refuses_each_message_with_a_time_to_retry(
    served: Served,
) -> None:
    caller = Caller(requests(3))
    served.world.gate.enter(100_000, Priority.LIVE)

    async with caller.streaming(served) as call:
        await call

    assert ids(caller.answers) == ["s0", "s1", "s2"]
    for answer in caller.answers:
        assert answer.error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert answer.error.retry_after_ms > 0
    assert served.world.counters.refused[FailureKind.OVERLOADED] == 3
    assert served.world.gate.outstanding_rows == 100_000


async def test_a_stream_continues_after_bytes_that_are_not_a_request(served: Served) -> None:
    not_utf8, not_protobuf = b"\x0a\x02\xff\xfe", b"\xff\xff\xff"
    caller = Caller([not_utf8, not_protobuf, *requests(1)])

    async with caller.streaming(served) as call:
        await call

    assert sorted(ids(caller.answers)) == ["", "", "s0"]
    for answer in caller.answers:
        assert answer.HasField("response") == bool(answer.request_id)
        if not answer.request_id:
            assert answer.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert not answer.error.HasField("retry_after_ms")
    assert served.world.gate.outstanding_rows == 0


async def test_a_large_message_refused_after_reading_is_answered_with_its_id(
    served: Served,
) -> None:
    features = {"no_such": pb.FeatureValue(text="x" * 70_000)}
    caller = Caller(requests(1, features=features))

    async with caller.streaming(served) as call:
        await call

    assert ids(caller.answers) == ["s0"]
    assert caller.answers[0].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_messages_of_a_disconnected_caller_never_run(served: Served) -> None:
    world = served.world
    releases = [hold(world.scorers[name]) for name in ("one", "two")]
    caller = Caller(requests(1, unit_key="k"), stays=True)
    others = Caller(requests(20, unit_key="k"), stays=True)

    def ran() -> list[int]:
        return world.scorers["one"].batches + world.scorers["two"].batches

    async with caller.streaming(served):
        await until(ran)
        async with others.streaming(served):
            await until(lambda: world.gate.outstanding_rows == 21)
        assert world.gate.outstanding_rows == 1
        for release in releases:
            release.set()
        await until(lambda: caller.answers)
    follow_up = await served.stub.Score(request(7, unit_key="k"))

    assert follow_up.score > 0
    assert others.answers == []
    assert ran() == [1, 1], "a row ran that no caller waits for"


async def test_answers_come_in_any_order_each_with_its_request_id(served: Served) -> None:
    release = hold(served.world.scorers["one"])
    call = served.stub.ScoreStream()
    for index in range(40):
        await call.write(streamed(request(index)))
    await call.done_writing()

    arriving = aiter(call)
    first = await anext(arriving)
    release.set()
    answers = [first, *[answer async for answer in arriving]]

    assert first.response.served_by.version == 2
    assert ids(answers) != [f"s{index}" for index in range(40)]
    scores = {answer.request_id: answer.response.score // 10 for answer in answers}
    assert scores == {f"s{index}": index for index in range(40)}


async def test_a_stream_told_to_end_answers_the_messages_it_has_read_and_reads_no_more(
    served: Served,
) -> None:
    releases = [hold(served.world.scorers[name]) for name in ("one", "two")]
    caller = Caller(requests(20), stays=True)

    async with caller.streaming(served) as call:
        await until(lambda: caller.taken == 20)
        served.service.end_streams()
        caller.more.set()
        await until(lambda: served.world.scorers["one"].batches)
        assert not call.done()
        for release in releases:
            release.set()
        await call

    assert caller.taken == 20
    assert sorted(ids(caller.answers)) == sorted(f"s{index}" for index in range(20))
    assert all(answer.HasField("response") for answer in caller.answers)


async def test_a_stream_that_waits_for_room_can_be_ended(served: Served) -> None:
    caller = Caller(requests(400), reads=False)

    async with caller.streaming(served) as call:
        await until(lambda: caller.taken == MOST_OPEN)
        served.service.end_streams()
        caller.reads = True
        caller.room.release()
        await call

    assert sorted(ids(caller.answers)) == sorted(f"s{index}" for index in range(MOST_OPEN))


async def test_a_stream_that_begins_during_the_drain_reads_nothing(served: Served) -> None:
    served.service.end_streams()
    call = served.stub.ScoreStream()

    answers = [answer async for answer in call]

    assert answers == []
    assert await call.code() is grpc.StatusCode.OK


@dataclass
class Busy:
    """A raw caller that sends until its stream ends."""

    sent: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    def requests(self) -> Iterator[pb.ScoreStreamRequest]:
        index = 0
        while True:
            self.sent.append(f"s{index}")
            yield streamed(request(index))
            index += 1

    def run(self, port: int) -> grpc.StatusCode:
        """Send and read on threads, because grpc.aio's own status hides the server's while writing."""
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = scoring_pb2_grpc.ScoringServiceStub(channel).ScoreStream(self.requests())
            for answer in call:
                assert answer.HasField("response")
                self.answered.append(answer.request_id)
            code: grpc.StatusCode = call.code()
            return code


def assert_all_taken_were_answered(served: Served, callers: Sequence[Busy]) -> None:
    """Messages are read in order, so the answered ones are the first that were sent."""
    for caller in callers:
        count = len(caller.answered)
        assert sorted(caller.answered) == sorted(caller.sent[:count])
    answered = sum(len(caller.answered) for caller in callers)
    assert sum(served.world.counters.rows.values()) == answered > 0
    assert served.world.gate.outstanding_rows == 0


async def test_a_drain_ends_busy_streams_with_ok_and_loses_no_message_that_was_read() -> None:
    async with open_served() as served:
        stop = asyncio.Event()
        callers = [Busy(), Busy()]
        async with asyncio.timeout(LONG_S), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(
                serve_until_stopped(
                    served.server,
                    served.health,
                    stop,
                    DrainTimes(unready_delay_s=0.0, grace_s=CUT_S),
                    end_streams=served.service.end_streams,
                )
            )
            calls = [
                tasks.create_task(asyncio.to_thread(caller.run, served.port)) for caller in callers
            ]
            await until(lambda: all(len(caller.answered) > 50 for caller in callers))
            stop.set()
            await serving

        assert [call.result() for call in calls] == [grpc.StatusCode.OK] * 2
        assert_all_taken_were_answered(served, callers)


async def test_a_stream_at_its_age_limit_ends_with_ok_after_its_connections_age() -> None:
    while (code := await code_at_the_age_limit()) is None:
        pass
    assert code is grpc.StatusCode.OK


async def code_at_the_age_limit() -> grpc.StatusCode | None:
    """Return the status of a stream that comes of age; None if the caller did not get to see it.

    gRPC closes the connection right after its last stream: a write of the caller that meets the
    close fails, and hides the status that was sent before.
    """
    async with open_served(
        limits=replace(LIMITS, most_stream_age_s=1.0),
        max_connection_age_ms=300,
        max_connection_age_grace_ms=round(CUT_S * 1000),
    ) as served:
        caller = Busy()
        try:
            async with asyncio.timeout(LONG_S):
                code = await asyncio.to_thread(caller.run, served.port)
        except grpc.RpcError as error:
            if "Broken pipe" in str(error):
                return None
            raise
        assert_all_taken_were_answered(served, [caller])
        return code


def end_as_of_age(served: Served) -> list[Any]:
    """End the open streams as at their age limit, at the least expected time."""
    streams = list(served.service.streams._streams)
    for each in streams:
        each.stop_reading()
    return streams


async def test_a_client_continues_unnoticed_over_streams_that_reach_their_age_limit() -> None:
    async with open_served() as served:
        wanted = [request(index) for index in range(3_000)]
        answers: list[StreamAnswer] = []
        ended: list[Any] = []

        async with AsyncScoringClient(f"127.0.0.1:{served.port}") as client:
            async for answer in client.score_stream(wanted, timeout_s=LONG_S):
                answers.append(answer)
                if len(answers) % 500 == 0:
                    ended += end_as_of_age(served)

        assert len({id(each) for each in ended}) > 2, "few streams came of age: little was tested"
        assert sorted(ids(answers)) == sorted(each.request_id for each in wanted)
        assert all(answer.response is not None for answer in answers)
        assert sum(served.world.counters.rows.values()) == len(wanted), "one was scored twice"


async def test_a_client_loses_nothing_when_one_of_two_routers_drains() -> None:
    async with (
        open_served(reuse_port=True) as drained,
        AsyncScoringClient(f"127.0.0.1:{drained.port}") as client,
    ):
        going_on = open_served(listen=f"127.0.0.1:{drained.port}", reuse_port=True)
        answers: list[StreamAnswer] = []
        wanted = [request(index) for index in range(1_000)]
        is_draining = asyncio.Event()

        async def sent() -> AsyncIterator[pb.ScoreRequest]:
            for index, each in enumerate(wanted):
                if index == 500:
                    await is_draining.wait()
                yield each

        stream = client.score_stream(sent(), timeout_s=LONG_S)
        answers.append(await anext(stream))  # only the first router is up to read it
        async with going_on as other:
            drained.service.end_streams()
            is_draining.set()
            stopping = asyncio.ensure_future(drained.server.stop(CUT_S))
            answers += [answer async for answer in stream]
            await stopping
            taken = sum(other.world.counters.rows.values())

        assert taken > 0, "nothing was left for the other router: nothing was tested"
        assert sorted(ids(answers)) == sorted(each.request_id for each in wanted)
        assert all(answer.response is not None for answer in answers)
