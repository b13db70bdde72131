"""The contract of every front, with grpc's own client: a caller cannot see which one answers."""

import gzip
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from tests.runtime.front.fronts import FRONTS, LIMIT_S, ServedFront, served_front, unary
from tests.runtime.front.raw_http2 import raw_caller
from tests.runtime.front.samples import MOST_BYTES, ODD_TEXT, SERVICE
from understudy.runtime.serving import MOST_REFLECTIONS

Code = grpc.StatusCode


@pytest.fixture(scope="module", params=FRONTS)
def front(request: pytest.FixtureRequest) -> Iterator[ServedFront]:
    with served_front(request.param) as served:
        yield served


@pytest.fixture
def channel(front: ServedFront) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(
        front.address, options=[("grpc.use_local_subchannel_pool", 1)]
    ) as opened:
        yield opened


def failure_of(call: Callable[[], object]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


def until_counts(channel: grpc.Channel, wanted: Callable[[int, int], bool]) -> None:
    """Wait until the numbers of begun and of cancelled calls are as `wanted`."""
    while True:
        begun, cancelled = map(int, unary(channel, "Counts")(b"").split())
        if wanted(begun, cancelled):
            return
        threading.Event().wait(0.05)  # between two looks; the server sends no event


@pytest.mark.parametrize("size", [0, 1, 20_000, MOST_BYTES])
def test_a_message_comes_back(channel: grpc.Channel, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)

    assert unary(channel, "Echo")(message) == message


def test_a_status_has_any_text_and_metadata(channel: grpc.Channel) -> None:
    error = failure_of(lambda: unary(channel, "Refuse")(b""))

    assert (error.code(), error.details()) == (Code.FAILED_PRECONDITION, ODD_TEXT)
    trailers = dict(error.trailing_metadata())
    assert (trailers["why-not"], trailers["why-not-bin"]) == ("no room", b"\x00\xff")


def test_an_overload_says_when_to_try_again(channel: grpc.Channel) -> None:
    error = failure_of(lambda: unary(channel, "Overload")(b""))

    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "20"


def test_the_text_of_a_defect_does_not_reach_a_caller(channel: grpc.Channel) -> None:
    error = failure_of(lambda: unary(channel, "Fail")(b""))

    assert (error.code(), error.details()) == (Code.INTERNAL, "internal error")


def test_a_request_above_the_limit_is_refused(channel: grpc.Channel) -> None:
    error = failure_of(lambda: unary(channel, "Echo")(bytes(MOST_BYTES + 1)))

    assert error.code() is Code.RESOURCE_EXHAUSTED


def test_an_answer_above_the_limit_is_refused(channel: grpc.Channel) -> None:
    assert len(unary(channel, "Large")(str(MOST_BYTES).encode())) == MOST_BYTES

    error = failure_of(lambda: unary(channel, "Large")(str(MOST_BYTES + 1).encode()))

    assert error.code() is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("kind", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_message_comes_back(channel: grpc.Channel, kind: grpc.Compression) -> None:
    message = b"abc" * 10_000

    assert unary(channel, "Echo", compression=kind)(message) == message


def test_a_message_that_grows_above_the_limit_is_refused(channel: grpc.Channel) -> None:
    bomb = bytes(MOST_BYTES + 1)
    assert len(gzip.compress(bomb)) < 1_000

    error = failure_of(lambda: unary(channel, "Echo", compression=grpc.Compression.Gzip)(bomb))

    assert error.code() is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("path", [f"/{SERVICE}/No", "/another.Service/Echo"])
def test_an_unknown_method_is_unimplemented(channel: grpc.Channel, path: str) -> None:
    method: Any = channel.unary_unary(path)

    error = failure_of(lambda: method(b"", timeout=LIMIT_S))

    assert (error.code(), error.details()) == (Code.UNIMPLEMENTED, "Method not found!")


def test_a_handler_sees_the_time_that_is_left(channel: grpc.Channel) -> None:
    # Above 100 s a client of gRPC sends whole seconds, rounded up.
    assert 0 < float(unary(channel, "Remaining", timeout=LIMIT_S)(b"")) <= LIMIT_S + 1.0
    assert unary(channel, "Remaining", timeout=None)(b"") == b"None"


def test_a_deadline_ends_the_handler(channel: grpc.Channel) -> None:
    before = int(unary(channel, "Counts")(b"").split()[1])

    error = failure_of(lambda: unary(channel, "Hold", timeout=0.05)(b""))

    assert error.code() is Code.DEADLINE_EXCEEDED
    until_counts(channel, lambda begun, cancelled: cancelled > before or begun == cancelled)


@pytest.mark.parametrize("method", ["Hold", "HoldStream", "MirrorByWriting"])
def test_a_caller_that_cancels_ends_the_handler(channel: grpc.Channel, method: str) -> None:
    begun, cancelled = map(int, unary(channel, "Counts")(b"").split())
    shape = {"Hold": "unary_unary", "HoldStream": "unary_stream"}.get(method, "stream_stream")
    multi: Any = getattr(channel, shape)(f"/{SERVICE}/{method}")
    never: queue.Queue[bytes] = queue.Queue()
    never.put(b"a")
    if method == "Hold":
        call = multi.future(b"a")
        until_counts(channel, lambda now, _: now > begun)
    else:
        call = multi(b"a" if method == "HoldStream" else iter(never.get, None))
        assert next(call) == b"a"

    call.cancel()

    until_counts(channel, lambda _, now: now > cancelled)
    never.put(b"")  # so that the client's thread ends


@pytest.mark.parametrize(
    ("key", "value"), [("a-key", "a value, and more"), ("a-key-bin", b"\x00\xff,")]
)
def test_metadata_arrives(channel: grpc.Channel, key: str, value: str | bytes) -> None:
    call = unary(channel, "Metadata", metadata=[(key, value)])

    assert call(key.encode()) == (value.encode() if isinstance(value, str) else value)


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("metadata", "read"),
    [
        ([], "none"),
        ([("traceparent", TRACEPARENT)], f"{TRACEPARENT} "),
        (
            [("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("tracestate", "b=2")],
            f"{TRACEPARENT} a=1,b=2",
        ),
    ],
)
def test_the_trace_of_the_caller_is_read(
    channel: grpc.Channel, metadata: list[tuple[str, str]], read: str
) -> None:
    assert unary(channel, "Trace", metadata=metadata)(b"").decode() == read


def test_the_peer_is_the_connection_whatever_headers_claim(channel: grpc.Channel) -> None:
    claims = [("x-forwarded-for", "203.0.113.9"), ("x-real-ip", "203.0.113.9")]

    peer = unary(channel, "Peer", metadata=claims)(b"").decode()

    assert peer.startswith("ipv4:127.0.0.1:")


def test_health_tells_the_state(channel: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)

    answer = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=LIMIT_S)
    unknown = failure_of(
        lambda: stub.Check(health_pb2.HealthCheckRequest(service="no"), timeout=LIMIT_S)
    )

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert unknown.code() is Code.NOT_FOUND


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")

    (answer,) = stub.ServerReflectionInfo(iter([asked]), timeout=LIMIT_S)

    assert SERVICE in {each.name for each in answer.list_services_response.service}


def test_idle_reflections_are_limited(channel: grpc.Channel) -> None:
    """Each would hold a place of other streams for as long as its caller wants."""
    reflect: Any = channel.stream_stream(f"/{reflection.SERVICE_NAME}/ServerReflectionInfo")
    ends: queue.Queue[Any] = queue.Queue()
    is_over = threading.Event()

    def silence() -> Iterator[bytes]:
        is_over.wait(LIMIT_S)
        yield from ()

    calls = [reflect(silence(), timeout=LIMIT_S) for _ in range(MOST_REFLECTIONS + 1)]
    for call in calls:
        call.add_done_callback(ends.put)
    refused = ends.get(timeout=LIMIT_S)
    is_over.set()
    codes = sorted(call.code().name for call in calls)

    assert refused.code() is Code.RESOURCE_EXHAUSTED
    assert codes == ["OK"] * MOST_REFLECTIONS + ["RESOURCE_EXHAUSTED"]


def test_a_stream_of_answers_arrives_in_order(channel: grpc.Channel) -> None:
    repeat: Any = channel.unary_stream(f"/{SERVICE}/Repeat")

    assert list(repeat(b"300", timeout=LIMIT_S)) == [str(place).encode() for place in range(300)]
    assert list(repeat(b"0", timeout=LIMIT_S)) == []


def test_a_stream_of_requests_has_one_answer(channel: grpc.Channel) -> None:
    join: Any = channel.stream_unary(f"/{SERVICE}/Join")

    assert join(iter([b"a", b"", b"c"]), timeout=LIMIT_S) == b"a,,c"
    assert join(iter([]), timeout=LIMIT_S) == b""


@pytest.mark.parametrize("method", ["Mirror", "MirrorByWriting"])
def test_both_directions_stream(channel: grpc.Channel, method: str) -> None:
    mirror: Any = channel.stream_stream(f"/{SERVICE}/{method}")
    messages = [bytes(place * 40) for place in range(300)]

    assert list(mirror(iter(messages), timeout=LIMIT_S)) == messages


def test_a_stream_that_fails_late_has_its_answers_and_its_status(channel: grpc.Channel) -> None:
    fail_late: Any = channel.unary_stream(f"/{SERVICE}/FailLate")
    call = fail_late(b"a", timeout=LIMIT_S)

    assert next(call) == b"a"
    error = failure_of(lambda: next(call))

    assert (error.code(), error.details()) == (Code.DATA_LOSS, "half of it is lost")


def test_a_message_above_the_limit_ends_a_stream(channel: grpc.Channel) -> None:
    mirror: Any = channel.stream_stream(f"/{SERVICE}/Mirror")

    error = failure_of(lambda: list(mirror(iter([bytes(MOST_BYTES + 1)]), timeout=LIMIT_S)))

    assert error.code() is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("speaks", [True, False])
def test_a_connection_without_a_call_is_closed(front: ServedFront, *, speaks: bool) -> None:
    """Otherwise a few hundred of them would leave no room for callers."""
    if speaks:
        with raw_caller(front.port) as caller:
            caller.wait_until_closed()
    else:
        with socket.create_connection(("127.0.0.1", front.port), timeout=LIMIT_S) as silent:
            while silent.recv(4_096):  # the server may introduce itself
                pass


def test_an_idle_channel_connects_again_with_its_next_call(channel: grpc.Channel) -> None:
    states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
    assert unary(channel, "Echo")(b"before") == b"before"
    channel.subscribe(states.put)

    while states.get(timeout=LIMIT_S) is not grpc.ChannelConnectivity.IDLE:
        pass

    assert unary(channel, "Echo")(b"after") == b"after"
