"""Streams of the clients continue over calls that end or fail: nothing is lost or duplicated."""

import asyncio
import queue
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice

import grpc
import pytest

from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.requests import score_request
from understudy.client.scoring_client import ScoringClient
from understudy.client.threaded_stream import ThreadedStream
from understudy.client.unanswered import UnansweredError
from understudy.scoring.v1 import scoring_pb2 as pb

# Until the client is done: grpc.aio hides the server's status if its own write coincides with the end.
TO_THE_END = 1_000


@dataclass(frozen=True)
class Ends:
    """The script of a call: requests to read, answers to send, and the status at the end."""

    takes: int
    answers: int
    status: grpc.StatusCode = grpc.StatusCode.OK
    strays: tuple[pb.ScoreStreamResponse, ...] = ()  # sent after the answers


@dataclass
class EndingService:
    """A service whose calls end as scripted, in order; the last one answers everything."""

    script: list[Ends] = field(default_factory=list)
    on_call: Callable[[int], None] = lambda _: None  # called with the number of each call
    calls: int = 0
    taken: list[list[str]] = field(default_factory=list)

    def score_stream(
        self, requests: Iterator[pb.ScoreStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ScoreStreamResponse]:
        script = self.script[self.calls] if self.calls < len(self.script) else None
        self.calls += 1
        self.on_call(self.calls)
        taken: list[str] = []
        self.taken.append(taken)
        if script is None:
            for each in requests:
                taken.append(each.request.request_id)
                yield pb.ScoreStreamResponse(request_id=each.request.request_id)
            return
        taken += [each.request.request_id for each in islice(requests, script.takes)]
        for request_id in taken[: script.answers]:
            yield pb.ScoreStreamResponse(request_id=request_id)
        yield from script.strays
        if script.status is not grpc.StatusCode.OK:
            context.abort(script.status, "scripted")


@contextmanager
def served(service: EndingService) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    handler = grpc.stream_stream_rpc_method_handler(
        service.score_stream,
        pb.ScoreStreamRequest.FromString,
        pb.ScoreStreamResponse.SerializeToString,
    )
    name = pb.DESCRIPTOR.services_by_name["ScoringService"].full_name
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"ScoreStream": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(60)


def with_threads(target: str, requests: Iterable[pb.ScoreRequest]) -> list[str]:
    with ScoringClient(target) as client:
        return [each.request_id for each in client.score_stream(requests, timeout_s=120.0)]


def with_asyncio(target: str, requests: Iterable[pb.ScoreRequest]) -> list[str]:
    async def collect() -> list[str]:
        async with AsyncScoringClient(target) as client:
            answers = client.score_stream(requests, timeout_s=120.0)
            return [each.request_id async for each in answers]

    return asyncio.run(collect())


Collect = Callable[[str, Iterable[pb.ScoreRequest]], list[str]]
both_clients = pytest.mark.parametrize("collect", [with_threads, with_asyncio])


def requests(count: int) -> list[pb.ScoreRequest]:
    return [score_request("fraud", {"user": "u1"}, request_id=f"s{n}") for n in range(count)]


def expected(count: int) -> list[str]:
    return sorted(f"s{n}" for n in range(count))


@both_clients
@pytest.mark.parametrize(
    "script",
    [
        [Ends(takes=7, answers=7)],  # a router that drains
        [Ends(takes=0, answers=0), Ends(takes=0, answers=0)],  # one that is already draining
        [Ends(takes=7, answers=3, status=grpc.StatusCode.UNAVAILABLE)],  # a router that is killed
        [Ends(takes=30, answers=29, status=grpc.StatusCode.UNAVAILABLE)],
        [Ends(takes=5, answers=5)] * 4,
        [Ends(takes=1, answers=0, status=grpc.StatusCode.CANCELLED)] * 3,
    ],
    ids=str,
)
def test_every_request_is_answered_once_however_the_calls_end(
    collect: Collect, script: list[Ends]
) -> None:
    service = EndingService(script)

    with served(service) as target:
        answers = collect(target, requests(30))

    assert sorted(answers) == expected(30)
    answered = Counter(
        request_id
        for ends, taken in zip(script, service.taken, strict=False)
        for request_id in taken[: ends.answers]
    )
    answered.update(service.taken[-1] if service.calls > len(script) else [])
    assert set(answered.values()) == {1}, "what had its answer was sent again"


@both_clients
def test_a_request_id_used_twice_is_answered_twice(collect: Collect) -> None:
    service = EndingService([Ends(takes=3, answers=1)])

    with served(service) as target:
        answers = collect(target, [*requests(1), *requests(1), *requests(1)])

    assert answers == ["s0", "s0", "s0"]


@both_clients
def test_a_request_without_id_gets_one_and_stays_as_it_was(collect: Collect) -> None:
    service = EndingService([Ends(takes=1, answers=0)])
    bare = pb.ScoreRequest(model="fraud")

    with served(service) as target:
        (answer,) = collect(target, [bare])

    assert [answer] == service.taken[0] == service.taken[1]
    assert bare.request_id == ""


@both_clients
def test_a_permanent_failure_is_raised(collect: Collect) -> None:
    service = EndingService([Ends(takes=TO_THE_END, answers=0, status=grpc.StatusCode.NOT_FOUND)])

    with served(service) as target, pytest.raises(grpc.RpcError) as caught:
        collect(target, requests(3))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert service.calls == 1


@both_clients
def test_a_stream_gives_up_after_five_consecutive_failures(collect: Collect) -> None:
    unavailable = grpc.StatusCode.UNAVAILABLE
    service = EndingService([Ends(takes=TO_THE_END, answers=0, status=unavailable)] * 10)

    with served(service) as target, pytest.raises(grpc.RpcError) as caught:
        collect(target, requests(3))

    assert caught.value.code() is unavailable
    assert service.calls == 5


@both_clients
@pytest.mark.parametrize("error", [None, pb.Error(code=8, message="full")], ids=["none", "full"])
def test_a_stream_gives_up_after_five_calls_that_answer_no_pending_request(
    collect: Collect, error: pb.Error | None
) -> None:
    nameless = pb.ScoreStreamResponse(error=error)
    service = EndingService([Ends(TO_THE_END, 0, strays=(nameless,))] * 10)

    with served(service) as target, pytest.raises(UnansweredError) as caught:
        collect(target, requests(3))

    expected_code = grpc.StatusCode.RESOURCE_EXHAUSTED if error else grpc.StatusCode.UNAVAILABLE
    assert caught.value.code() is expected_code
    assert service.calls == 5


@both_clients
def test_an_answer_without_a_pending_request_is_not_returned(collect: Collect) -> None:
    strays = (pb.ScoreStreamResponse(), pb.ScoreStreamResponse(request_id="of another"))
    service = EndingService([Ends(TO_THE_END, 1, strays=strays)])

    with served(service) as target:
        answers = collect(target, requests(3))

    assert sorted(answers) == expected(3)


@both_clients
def test_a_failure_of_the_callers_iterator_is_raised_once_the_rest_is_answered(
    collect: Collect,
) -> None:
    service = EndingService([Ends(takes=2, answers=1)])

    def failing() -> Iterator[pb.ScoreRequest]:
        yield from requests(4)
        raise LookupError("no more rows")

    with served(service) as target, pytest.raises(LookupError, match="no more rows"):
        collect(target, failing())

    assert set(service.taken[-1]) >= {"s3"}


def test_a_request_read_after_its_call_has_ended_goes_to_the_next_call() -> None:
    more: queue.Queue[pb.ScoreRequest | None] = queue.Queue()
    first, second, third = requests(3)

    def go_on(call: int) -> None:
        for request in (first, second) if call == 1 else (third, None):
            more.put(request)

    service = EndingService([Ends(takes=2, answers=2)], on_call=go_on)
    with served(service) as target:
        answers = with_threads(target, iter(more.get, None))

    assert answers == ["s0", "s1", "s2"]
    assert service.taken == [["s0", "s1"], ["s2"]]


@dataclass
class WaitingSource:
    """Has no request, and reports the end only when released."""

    is_asked: threading.Event = field(default_factory=threading.Event)
    is_over: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[pb.ScoreRequest]:
        self.is_asked.set()
        self.is_over.wait()
        yield from ()


class EndedCall:
    """A call that ended with OK without any answer."""

    def __iter__(self) -> Iterator[pb.ScoreStreamResponse]:
        return iter(())

    def cancel(self) -> None:
        return None


@dataclass
class EndingStub:
    """A stub whose calls end at once; each reads its requests in its own thread, like gRPC's."""

    source: WaitingSource
    threads: list[threading.Thread] = field(default_factory=list)
    stuck: list[bool] = field(default_factory=list)  # of ended calls except the first

    def ScoreStream(  # noqa: N802 - gRPC's name
        self,
        sent: Iterator[pb.ScoreRequest],
        timeout: float | None,
        metadata: object,
    ) -> EndedCall:
        if len(self.threads) == 8:
            for thread in self.threads[1:]:
                thread.join(60.0)
                self.stuck.append(thread.is_alive())
            self.source.is_over.set()
        thread = threading.Thread(target=list, args=(sent,), daemon=True)
        thread.start()
        self.threads.append(thread)
        assert self.source.is_asked.wait(60.0)
        return EndedCall()


def test_calls_that_end_while_the_iterator_waits_keep_a_single_thread() -> None:
    source = WaitingSource()
    stub = EndingStub(source)

    stream = ThreadedStream(source, lambda: "new")
    answers = list(stream.answers(lambda: nullcontext(stub), 120.0, ()))

    assert answers == []
    assert stub.stuck == [False] * 7


async def test_an_iterator_that_waits_when_its_call_ends_continues_in_the_next() -> None:
    loop = asyncio.get_running_loop()
    second_call = asyncio.Event()

    def go_on(call: int) -> None:
        if call == 2:
            loop.call_soon_threadsafe(second_call.set)

    async def slow() -> AsyncIterator[pb.ScoreRequest]:
        first, second, third = requests(3)
        yield first
        yield second
        await second_call.wait()
        yield third

    service = EndingService([Ends(takes=2, answers=2)], on_call=go_on)
    with served(service) as target:
        async with AsyncScoringClient(target) as client:
            answers = [each.request_id async for each in client.score_stream(slow(), timeout_s=120)]

    assert answers == ["s0", "s1", "s2"]
    assert service.taken == [["s0", "s1"], ["s2"]]
