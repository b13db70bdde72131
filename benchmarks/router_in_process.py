"""Our own Python of a Score: the whole way of a call in one process, without Envoy, store or scorer.

Calls enter the server behind ASGI in groups, as Envoy hands them over, and pass the real service, its
stages and the log's queue. Store and scorer are values that come with the loop's next turn. The same
server with a method that does nothing is measured in turns: the difference is the router's.

It needs no quiet machine: other work only adds to the CPU time of a load, and a load is short.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import numpy as np
import uvloop

from benchmarks.model import ENTITY, MODEL
from benchmarks.router_alone import open_service
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.front.asgi_server import AsgiServer
from understudy.scoring.v1 import scoring_pb2 as pb

_GROUPS = (1, 30)
_CALLS_AT_A_TIME = 30  # between two looks at the clock
_SCORE_PATH = "/understudy.scoring.v1.ScoringService/Score"
_NOOP_PATH = "/benchmarks.Noop/Call"
_HEADERS = (
    (b":authority", b"127.0.0.1:8400"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python-asyncio/1.71.0"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
    (b"grpc-timeout", b"9S"),
    (b"x-forwarded-proto", b"http"),
    (b"x-request-id", b"5d44f0f0-0000-4000-8000-000000000000"),
)
_Answer = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class _Caller:
    """One call as an ASGI server hands it over, and the end of its answer."""

    __slots__ = ("_event", "answer")

    def __init__(self, body: bytes) -> None:
        self._event = {"type": "http.request", "body": body, "more_body": False}
        self.answer = b""

    async def receive(self) -> dict[str, Any]:
        return self._event

    async def send(self, event: dict[str, Any]) -> None:
        if event["type"] == "http.response.body":
            self.answer = event["body"]


@dataclass(frozen=True, slots=True)
class _Target:
    name: str
    path: str
    body: bytes
    answer: _Answer

    async def call(self, count: int) -> bytes:
        """Make `count` calls together; return the last answer."""
        callers = [_Caller(self.body) for _ in range(count)]
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = [
            loop.create_task(self.answer(self._scope(), caller.receive, caller.send))  # type: ignore[arg-type]
            for caller in callers
        ]
        for task in tasks:
            await task
        return callers[-1].answer

    def _scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "method": "POST",
            "path": self.path,
            "raw_path": self.path.encode(),
            "headers": list(_HEADERS),
            "client": ("127.0.0.1", 50_000),
        }


@asynccontextmanager
async def open_targets(folder: Path) -> AsyncIterator[tuple[_Target, _Target]]:
    """Serve a no-op and the router's Score by the same server."""
    server = AsgiServer(most_message_bytes=1 << 22, most_due_calls=1 << 20)
    async with open_service(folder) as service:
        server.add_generic_rpc_handlers((service.handlers(), _noop_handler()))
        request = pb.ScoreRequest(model=MODEL, entities={ENTITY: "u7"}).SerializeToString()
        body = b"\x00" + len(request).to_bytes(4) + request
        await server.start()
        yield (
            _Target("no-op", _NOOP_PATH, body, server.answer),
            _Target("Score", _SCORE_PATH, body, server.answer),
        )
        await server.stop(1.0)


def _noop_handler() -> grpc.GenericRpcHandler:
    answer = bytes(120)

    async def call(_request: bytes, _context: Any) -> bytes:
        return answer

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Call": grpc.unary_unary_rpc_method_handler(call, None, None)
    }
    return grpc.method_handlers_generic_handler("benchmarks.Noop", handlers)


async def measure_in_process(effort: Effort, folder: Path) -> list[Row]:
    """Measure both targets in turns, on the event loop of a router."""
    return await asyncio.to_thread(_measure_in_thread, effort, folder)


def _measure_in_thread(effort: Effort, folder: Path) -> list[Row]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(effort, folder))


async def _measure(effort: Effort, folder: Path) -> list[Row]:
    async with open_targets(folder) as targets:
        spent_us: dict[tuple[str, int], list[float]] = {}
        for turn in range(-1, effort.rounds):  # the first one warms up
            for group in _GROUPS:
                for target in targets:
                    cpu_us = await _cpu_us_per_call(target, group, effort.seconds)
                    if turn >= 0:
                        spent_us.setdefault((target.name, group), []).append(cpu_us)
    return [_row(group, *(spent_us[target.name, group] for target in targets)) for group in _GROUPS]


async def _cpu_us_per_call(target: _Target, group: int, seconds: float) -> float:
    """Return the first decile over short loads of the CPU time of this thread."""
    spent_us: list[float] = []
    groups = max(1, _CALLS_AT_A_TIME // group)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        answer = b""
        before_s = time.thread_time()
        for _ in range(groups):
            answer = await target.call(group)
        spent_us.append((time.thread_time() - before_s) / (groups * group) * 1e6)
        if not answer:
            raise AssertionError(f"{target.name}: a call has failed")
    return float(np.quantile(spent_us, 0.1))


def _row(group: int, floor_us: Sequence[float], score_us: Sequence[float]) -> Row:
    floor, score = median(floor_us), median(score_us)
    return Row(
        name=f"Score in process, groups of {group}",
        requests_per_s=round(1e6 / score, 1),
        cpu_us_per_request={"front": floor, "router": score - floor},
        mean_batch_rows=group,
        goal="for comparison",
        note=f"least: front {min(floor_us):.1f} us, with the router {min(score_us):.1f} us",
    )


SCENARIOS = (Scenario("in-process", measure_in_process),)
