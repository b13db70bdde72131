"""grpc's handlers behind ASGI, in memory: bad requests, ends of calls, and the drain."""

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.runtime.front.exchange import GRPC, Exchange, asked
from tests.runtime.front.samples import MOST_BYTES, MOST_DUE_CALLS, SERVICE, Context, SampleService
from tests.virtual_time import run_on_virtual_time, turns
from understudy.runtime.front.asgi_server import AsgiServer
from understudy.runtime.front.frames import frame, joined_frames

Code = grpc.StatusCode
ECHO = f"/{SERVICE}/Echo"
HOLD = f"/{SERVICE}/Hold"
MIRROR = f"/{SERVICE}/MirrorByWriting"


def sample_server() -> tuple[AsgiServer, SampleService]:
    service = SampleService()
    server = AsgiServer(most_message_bytes=MOST_BYTES, most_due_calls=MOST_DUE_CALLS)
    server.add_generic_rpc_handlers((service.handlers(),))
    return server, service


def number_of(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


def without(name: str) -> dict[str, str]:
    return {each: value for each, value in GRPC.items() if each != name}


def compressed(content: bytes) -> bytes:
    return b"\x01" + frame(content)[1:]


BAD_REQUESTS: dict[str, tuple[Callable[[], Exchange], grpc.StatusCode, str]] = {
    "no message": (lambda: asked(ECHO, ()), Code.UNIMPLEMENTED, "read none; accepted: one"),
    "two messages": (
        lambda: asked(ECHO, (b"a", b"b")),
        Code.UNIMPLEMENTED,
        "read more than one; accepted: one",
    ),
    "a cut frame": (
        lambda: Exchange(ECHO).give(frame(b"abc")[:-1]),
        Code.INTERNAL,
        "ends after 7 bytes",
    ),
    "a cut header": (lambda: Exchange(ECHO).give(b"\x00\x00"), Code.INTERNAL, "ends after 2"),
    "an unknown flag": (lambda: Exchange(ECHO).give(b"\x07" + bytes(4)), Code.INTERNAL, "read 7"),
    "a compressed frame without encoding": (
        lambda: Exchange(ECHO).give(compressed(b"abc")),
        Code.INTERNAL,
        "names no compression",
    ),
    "bad gzip": (
        lambda: Exchange(ECHO, {**GRPC, "grpc-encoding": "gzip"}).give(compressed(b"abc")),
        Code.INTERNAL,
        "accepted: gzip",
    ),
    "a gzip bomb": (
        lambda: Exchange(ECHO, {**GRPC, "grpc-encoding": "gzip"}).give(
            compressed(gzip.compress(bytes(MOST_BYTES + 1)))
        ),
        Code.RESOURCE_EXHAUSTED,
        "after decompression",
    ),
    "a message above the limit": (
        lambda: asked(ECHO, (bytes(MOST_BYTES + 1),)),
        Code.RESOURCE_EXHAUSTED,
        f"read {MOST_BYTES + 1} bytes; accepted: at most {MOST_BYTES} bytes",
    ),
    "a message above the limit that has not arrived": (
        lambda: Exchange(ECHO).give(frame(bytes(MOST_BYTES + 1))[:5], more=True),
        Code.RESOURCE_EXHAUSTED,
        "accepted: at most",
    ),
    "an unknown encoding": (
        lambda: asked(ECHO, grpc_encoding="br"),
        Code.UNIMPLEMENTED,
        "read 'br'; accepted: identity, gzip, deflate",
    ),
    "a malformed timeout": (lambda: asked(ECHO, grpc_timeout="1"), Code.INTERNAL, "read '1'"),
    "a passed deadline": (
        lambda: asked(ECHO, grpc_timeout="0n"),
        Code.DEADLINE_EXCEEDED,
        "the deadline has passed",
    ),
    "an unknown method": (lambda: asked(f"/{SERVICE}/No"), Code.UNIMPLEMENTED, "not found"),
    "an unknown service": (lambda: asked("/other/Echo"), Code.UNIMPLEMENTED, "not found"),
    "a path that is nearly one": (lambda: asked(f"/x/..{ECHO}"), Code.UNIMPLEMENTED, "not found"),
    "a path that is no text": (lambda: asked("/\xff"), Code.UNIMPLEMENTED, "not found"),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_a_bad_request_has_a_status_in_its_headers(name: str) -> None:
    make, code, why = BAD_REQUESTS[name]
    server, service = sample_server()

    answer = await make().answered_by(server)

    assert (answer.status, answer.grpc_status[0]) == (200, number_of(code))
    assert why in answer.grpc_status[1]
    assert [event["type"] for event in answer.sent] == ["http.response.start", "http.response.body"]
    assert server.open_calls == service.begun == 0


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("exchange", "status"),
    [
        (Exchange(ECHO, method="GET").give(b""), 405),
        (Exchange(ECHO, method="HEAD").give(b""), 405),
        (Exchange(ECHO, without("content-type")).give(b"{}"), 415),
        (Exchange(ECHO, {**GRPC, "content-type": "application/json"}).give(b"{}"), 415),
        (Exchange(ECHO, {**GRPC, "content-type": "application/grpc-web"}).give(b""), 415),
        (Exchange(ECHO, without("te")).give(frame(b"")), 400),
        (Exchange(ECHO, {**GRPC, "te": "gzip"}).give(frame(b"")), 400),
    ],
)
async def test_a_request_that_is_no_grpc_is_answered_in_text(
    exchange: Exchange, status: int
) -> None:
    server, _ = sample_server()

    await exchange.answered_by(server)

    assert exchange.status == status
    assert b"accepted" in exchange.body
    assert "grpc-status" not in exchange.headers


@settings(max_examples=40)
@given(
    body=st.binary(max_size=64),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "te", "grpc-encoding", "grpc-timeout", "x-bin"]),
        st.text(st.characters(max_codepoint=255), max_size=8),
    ),
    path=st.sampled_from([ECHO, MIRROR, f"/{SERVICE}/Join", f"/{SERVICE}/Metadata", "/", ""]),
)
def test_every_request_has_one_whole_answer(
    body: bytes, headers: dict[str, str], path: str
) -> None:
    async def scenario() -> None:
        server, _ = sample_server()

        answer = await Exchange(path, {**GRPC, **headers}).give(body).answered_by(server)

        types = [event["type"] for event in answer.sent]
        assert types.count("http.response.start") == 1
        assert not answer.sent[-1].get("more_body")
        assert answer.status != 200 or "grpc-status" in answer.headers
        assert answer.headers.get("grpc-status") != str(number_of(Code.UNKNOWN))
        assert not server.open_calls

    run_on_virtual_time(scenario())


class _Strange(BaseException):
    pass


@pytest.mark.virtual_time
@pytest.mark.parametrize("error", [KeyError("secret"), _Strange("secret"), SystemExit(3)])
async def test_an_exception_that_leaves_a_handler_is_internal_and_never_ok(
    error: BaseException,
) -> None:
    async def fail(_request: bytes, _context: Context) -> bytes:
        raise error

    server = AsgiServer(most_message_bytes=MOST_BYTES, most_due_calls=MOST_DUE_CALLS)
    method: Any = grpc.unary_unary_rpc_method_handler(fail)
    handler = grpc.method_handlers_generic_handler("a.Service", {"Fail": method})
    server.add_generic_rpc_handlers((handler,))
    with capture_logs() as logged:
        answer = await asked("/a.Service/Fail").answered_by(server)

    assert answer.grpc_status == (number_of(Code.INTERNAL), "internal error")
    assert [(line["event"], line["exc_info"]) for line in logged] == [("rpc_failed", error)]


@pytest.mark.virtual_time
async def test_an_answer_that_is_no_bytes_is_internal() -> None:
    async def forget(_request: bytes, _context: Context) -> None:
        return None

    server = AsgiServer(most_message_bytes=MOST_BYTES, most_due_calls=MOST_DUE_CALLS)
    method: Any = grpc.unary_unary_rpc_method_handler(forget)
    handler = grpc.method_handlers_generic_handler("a.Service", {"Forget": method})
    server.add_generic_rpc_handlers((handler,))
    with capture_logs():
        answer = await asked("/a.Service/Forget").answered_by(server)

    assert answer.grpc_status == (number_of(Code.INTERNAL), "internal error")


@pytest.mark.virtual_time
async def test_a_deadline_ends_a_call_in_the_middle() -> None:
    server, service = sample_server()
    began_s = asyncio.get_running_loop().time()

    answer = await asked(HOLD, grpc_timeout="50m").answered_by(server)

    assert answer.grpc_status == (number_of(Code.DEADLINE_EXCEEDED), "the deadline has passed")
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(0.05)
    assert service.cancelled == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("method", ["Hold", "HoldStream"])
async def test_a_caller_that_has_gone_after_its_request_ends_its_call(method: str) -> None:
    server, service = sample_server()
    await server.start()
    call = asked(f"/{SERVICE}/{method}")
    answering = asyncio.ensure_future(call.answered_by(server))
    await turns()
    assert server.open_calls == 1

    call.disconnect()
    await answering

    assert (service.cancelled, server.open_calls) == (1, 0)
    await server.stop(None)


@pytest.mark.virtual_time
@pytest.mark.parametrize("parts", [(), (frame(b"abc")[:3],)])
async def test_a_message_that_does_not_arrive_ends_its_call(parts: tuple[bytes, ...]) -> None:
    server, _ = sample_server()
    await server.start()
    call = Exchange(ECHO).give(*parts, more=True)

    await call.answered_by(server)

    assert call.grpc_status[0] == number_of(Code.DEADLINE_EXCEEDED)
    assert "within 30 s" in call.grpc_status[1]
    assert 30 <= asyncio.get_running_loop().time() <= 32
    await server.stop(None)


@pytest.mark.virtual_time
async def test_the_oldest_calls_without_a_message_end_if_an_address_has_too_many() -> None:
    server, _ = sample_server()
    calls = [Exchange(ECHO) for _ in range(MOST_DUE_CALLS + 2)]
    running = [asyncio.ensure_future(call.answered_by(server)) for call in calls]
    elsewhere = Exchange(ECHO)
    elsewhere.scope["client"] = ("127.0.0.2", 4711)
    waiting = asyncio.ensure_future(elsewhere.answered_by(server))

    await asyncio.wait(running[:2])
    await asyncio.sleep(1)

    for call in calls[:2]:
        assert call.grpc_status[0] == number_of(Code.UNAVAILABLE)
    assert not any(each.done() for each in (*running[2:], waiting))
    for call in (*calls[2:], elsewhere):
        call.give(frame(b"late"))
    await asyncio.gather(*running, waiting)
    assert {call.body for call in (*calls[2:], elsewhere)} == {frame(b"late")}
    await server.stop(None)


@pytest.mark.virtual_time
async def test_a_burst_whose_messages_follow_loses_no_call() -> None:
    server, _ = sample_server()
    calls = [Exchange(ECHO) for _ in range(4 * MOST_DUE_CALLS)]
    running = [asyncio.ensure_future(call.answered_by(server)) for call in calls]
    await asyncio.sleep(0.06)  # one look

    for call in calls:
        call.give(frame(b"a"))
    await asyncio.gather(*running)

    assert {call.body for call in calls} == {frame(b"a")}
    await server.stop(None)


@pytest.mark.virtual_time
async def test_compressed_messages_are_unpacked_one_at_a_time() -> None:
    """They arrive in one part of the body, whose size alone is bounded."""
    server, _ = sample_server()
    bomb = compressed(gzip.compress(bytes(MOST_BYTES)))
    call = Exchange(f"/{SERVICE}/Count", {**GRPC, "grpc-encoding": "gzip"}).give(bomb * 200)
    tracemalloc.start()

    await call.answered_by(server)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert call.body == frame(b"200")
    assert peak_bytes < 20 * MOST_BYTES


@pytest.mark.virtual_time
async def test_a_caller_that_goes_in_the_middle_of_its_stream_ends_its_call() -> None:
    server, service = sample_server()
    call = Exchange(MIRROR).give(frame(b"a"), more=True)
    answering = asyncio.ensure_future(call.answered_by(server))
    await turns()

    call.disconnect()
    await answering

    assert (service.cancelled, server.open_calls) == (1, 0)


@pytest.mark.virtual_time
async def test_answers_of_one_turn_leave_in_one_piece() -> None:
    server, _ = sample_server()
    messages = [str(place).encode() for place in range(100)]

    answer = await asked(MIRROR, messages).answered_by(server)

    assert answer.body == joined_frames(messages)
    assert sum(bool(event.get("body")) for event in answer.sent) == 1


@pytest.mark.virtual_time
async def test_a_caller_that_does_not_read_is_not_read_from() -> None:
    server, _ = sample_server()
    message = bytes(16 * 1024)
    call = Exchange(MIRROR).give(*[frame(message)] * 100, more=True)
    call.reads.clear()
    answering = asyncio.ensure_future(call.answered_by(server))
    await turns(1_000)
    unread = len(call._parts)

    call.reads.set()
    call.give(b"")
    await answering

    assert unread > 80
    assert call.body == joined_frames([message] * 100)


@pytest.mark.virtual_time
@pytest.mark.parametrize("reads", [True, False])
async def test_a_stop_lets_calls_end_and_then_cancels_them(reads: bool) -> None:
    server, service = sample_server()
    call = asked(f"/{SERVICE}/HoldStream")
    if not reads:
        call.reads.clear()
    answering = asyncio.ensure_future(call.answered_by(server))
    await turns()
    began_s = asyncio.get_running_loop().time()

    await server.stop(5.0)
    await answering

    assert asyncio.get_running_loop().time() - began_s == pytest.approx(5.0)
    assert (service.cancelled, server.open_calls) == (1, 0)
    assert call.grpc_status == (number_of(Code.UNAVAILABLE), "the server is shutting down")


@pytest.mark.virtual_time
async def test_a_stopped_server_refuses_calls() -> None:
    server, _ = sample_server()
    await server.stop(None)

    answer = await asked(ECHO).answered_by(server)

    assert answer.grpc_status[0] == number_of(Code.UNAVAILABLE)


@pytest.mark.virtual_time
async def test_the_end_of_the_event_loop_is_no_status() -> None:
    server, _ = sample_server()
    answering = asyncio.ensure_future(asked(HOLD).answered_by(server))
    await turns()

    answering.cancel()

    with pytest.raises(asyncio.CancelledError):
        await answering
