"""The process inside Envoy: its limits, its ends, and its bonds to parent and folder."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.runtime.front.fronts import (
    FRONTS,
    LIMIT_S,
    ROOT,
    WITH_ENVOY,
    ServedFront,
    served_front,
    start_front,
    unary,
    wait_until_serving,
)
from tests.runtime.front.raw_http2 import raw_caller
from tests.runtime.front.sample_worker import MOST_CALLS
from tests.runtime.front.samples import MOST_DUE_CALLS, SERVICE
from understudy.runtime.free_port import free_port
from understudy.runtime.front.frames import frame
from understudy.runtime.supervision.python_command import bound_python_command

Code = grpc.StatusCode
pytestmark = WITH_ENVOY


@pytest.fixture(scope="module")
def front() -> Iterator[ServedFront]:
    with served_front("envoy") as served:
        yield served


@pytest.fixture
def channel(front: ServedFront) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(front.address) as opened:
        yield opened


def failure_of(call: Callable[[], object]) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value


@pytest.mark.fault
def test_calls_above_the_cap_are_refused_before_python_and_told_when_to_return(
    channel: grpc.Channel,
) -> None:
    hold: Any = channel.unary_unary(f"/{SERVICE}/Hold")
    ended: queue.Queue[Any] = queue.Queue()
    calls = [hold.future(b"") for _ in range(MOST_CALLS + 1)]
    for call in calls:
        call.add_done_callback(ended.put)
    refused = ended.get(timeout=LIMIT_S)
    mirror: Any = channel.stream_stream(f"/{SERVICE}/Mirror")

    streamed = list(mirror(iter([b"a"]), timeout=LIMIT_S))
    again = failure_of(lambda: unary(channel, "Echo")(b""))
    for call in calls:
        call.cancel()

    assert (refused.code(), again.code()) == (Code.UNAVAILABLE, Code.UNAVAILABLE)
    assert dict(again.trailing_metadata())["grpc-retry-pushback-ms"] == "20"
    assert streamed == [b"a"]  # streams have a cap of their own
    until(lambda: unary(channel, "Echo")(b"") == b"")


def until(claim: Callable[[], bool]) -> None:
    """Wait until `claim` holds; calls that are refused meanwhile do not count."""
    while True:
        try:
            if claim():
                return
        except grpc.RpcError:
            pass
        threading.Event().wait(0.05)  # between two looks; the server sends no event


@pytest.mark.parametrize("path", ["/%ff", f"/{SERVICE}/%45cho", "/%"])
def test_a_path_with_an_escape_is_refused(channel: grpc.Channel, path: str) -> None:
    method: Any = channel.unary_unary(path)

    error = failure_of(lambda: method(b"", timeout=LIMIT_S))

    assert error.code() is Code.PERMISSION_DENIED


@pytest.mark.fault
@pytest.mark.parametrize("path", [b"/\xff", "/é".encode()])
def test_calls_of_paths_that_are_no_ascii_hold_no_place_of_others(
    front: ServedFront, channel: grpc.Channel, path: bytes
) -> None:
    """A call that is never answered would hold one as long as its connection is open."""
    with raw_caller(front.port) as caller:
        for call in [caller.begin(path) for _ in range(MOST_CALLS)]:
            caller.wait_until_answered(call)

        assert unary(channel, "Echo")(b"a") == b"a"


@pytest.mark.fault
def test_calls_without_their_message_leave_places_to_callers_at_other_addresses(
    front: ServedFront,
) -> None:
    """Headers alone cost their caller nothing, and each holds a place of the cap for up to 30 s."""
    with raw_caller(front.port, source="127.0.0.2") as caller:
        path = f"/{SERVICE}/Echo".encode()
        begun = [caller.begin(path) for _ in range(MOST_CALLS)]
        surplus = MOST_CALLS - MOST_DUE_CALLS
        for call in begun[:surplus]:
            caller.wait_until_answered(call)

        with grpc.insecure_channel(front.address) as channel:
            others = unary(channel, "Echo")(b"a")
        caller.end(begun[-1], frame(b"late"))
        caller.wait_until_answered(begun[-1])

    assert others == b"a"


def test_a_caller_that_speaks_no_http2_is_cut_off(front: ServedFront) -> None:
    with socket.create_connection(("127.0.0.1", front.port), timeout=LIMIT_S) as caller:
        caller.sendall(b"POST /sample.Service/Echo HTTP/1.1\r\nhost: a\r\n\r\n")

        answered = caller.recv(1_024)

    assert b"HTTP/1.1" not in answered


def test_its_files_are_accessible_to_its_user_only(front: ServedFront) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in front.folder.iterdir()}

    assert modes == {"envoy.json": 0o600, "envoy.sock": 0o600}


def test_it_listens_on_no_other_port(front: ServedFront) -> None:
    listening = [
        each.laddr.port
        for each in psutil.Process(front.process.pid).net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN
    ]

    assert set(listening) == {front.port}


@pytest.mark.fault
@pytest.mark.parametrize("kind", FRONTS)
def test_a_drain_closes_the_port_tells_watchers_and_lets_open_calls_finish(kind: str) -> None:
    with served_front(kind) as served, grpc.insecure_channel(served.address) as channel:
        mirror: Any = channel.stream_stream(f"/{SERVICE}/Mirror")
        may_end = threading.Event()
        call = mirror(iter(_asked_until(may_end)), timeout=LIMIT_S)
        assert next(call) == b"first"
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING

        served.process.send_signal(signal.SIGTERM)
        last_states = [answer.status for answer in watch]
        until(lambda: refuses_connections(served.port))
        may_end.set()

        assert last_states[-1] == health_pb2.HealthCheckResponse.NOT_SERVING
        assert list(call) == [b"last"]
        assert served.process.wait(LIMIT_S) == 0


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S).close()
    except ConnectionRefusedError:
        return True
    return False


def _asked_until(may_end: threading.Event) -> Iterator[bytes]:
    yield b"first"
    may_end.wait()
    yield b"last"


@pytest.mark.fault
@pytest.mark.parametrize("kind", FRONTS)
def test_calls_that_outlive_the_grace_are_ended(kind: str) -> None:
    with (
        served_front(kind, grace_s=1.5) as served,
        grpc.insecure_channel(served.address) as channel,
    ):
        hold: Any = channel.unary_stream(f"/{SERVICE}/HoldStream")
        call = hold(b"a", timeout=LIMIT_S)
        assert next(call) == b"a"

        assert served.stop() == 0

        assert failure_of(lambda: next(call)).code() in {Code.UNAVAILABLE, Code.CANCELLED}


@pytest.mark.parametrize(
    ("ending", "code"),
    [("defect", 1), pytest.param("refused", 64, marks=pytest.mark.long)],
)
def test_a_start_that_fails_ends_with_its_own_exit_code(
    tmp_path: Path, ending: str, code: int
) -> None:
    failed = start_front("envoy", tmp_path, ending=ending, stdout=subprocess.PIPE)

    printed, _ = failed.process.communicate(timeout=LIMIT_S)

    assert failed.process.returncode == code
    assert (b"KeyError: 'a defect'" in printed) == (ending == "defect")


@pytest.mark.fault
def test_a_port_in_use_ends_the_start(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        failed = start_front("envoy", tmp_path, port=port, stderr=subprocess.PIPE)

        _, printed = failed.process.communicate(timeout=LIMIT_S)

    assert failed.process.returncode == 69
    assert b"Address already in use" in printed


@pytest.mark.fault
def test_it_ends_with_its_parent_and_imports_nothing_from_the_working_directory(
    tmp_path: Path,
) -> None:
    (tmp_path / "structlog.py").write_text("raise SystemExit('the wrong module')")
    folder = tmp_path / "state"
    folder.mkdir()
    port = free_port()
    worker = ("-m", "tests.runtime.front.sample_worker")
    command = bound_python_command(*worker, "envoy", str(port), str(folder), "60.0", "none")
    # The wrapper is told the pid of its parent: here the program's.
    starter = (
        "import os, subprocess, sys; sys.argv[5] = str(os.getpid()); subprocess.run(sys.argv[1:])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", starter, *command], cwd=tmp_path, env=environment
    )
    wait_until_serving(f"127.0.0.1:{port}")
    (child,) = psutil.Process(parent.pid).children()
    assert child.cwd() == str(tmp_path)  # relative paths of the settings hold

    parent.kill()
    parent.wait(LIMIT_S)

    child.wait(LIMIT_S)
