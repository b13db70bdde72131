"""Calls with a deadline of 100 ms beside many streams of one address that send and never read."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.refused_by_full_router import MOST_STREAMS
from benchmarks.refused_memory import peak_mib, resident_mib
from benchmarks.request_path import RequestPath, open_request_path
from benchmarks.router_overload import Probes, probing
from benchmarks.rows import Effort, Row, Scenario
from benchmarks.unread_callers import STREAMS_PER_CONNECTION
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec

_ENTITY_ID = "u1"
_CONNECTIONS = 38
_MOST_GROWTH_MIB = 128  # 64 streams with a mebibyte and a message each, and the buffers of gRPC


@dataclass(slots=True)
class UnreadCaller:
    """A process that holds unread streams."""

    taken: int = 0  # messages
    still_open: int = 0  # streams, at the end


async def measure_unread_streams(effort: Effort, folder: Path) -> list[Row]:
    """Measure live calls alone and beside the streams, and the memory that these hold."""
    seconds = effort.seconds * effort.rounds
    async with open_request_path(folder) as path:
        router = psutil.Process(path.supervisor.pids()["router"])
        alone, beside = Probes(), Probes()
        async with probing(path, _ENTITY_ID, alone):
            await asyncio.sleep(seconds / 2)
        before_mib = resident_mib(router)
        async with (
            probing(path, _ENTITY_ID, beside),
            peak_mib(router) as samples,
            _unread_caller(path.address, _CONNECTIONS) as caller,
        ):
            await asyncio.sleep(seconds)
        growth_mib = max(samples) - before_mib
        floor_mib = await _growth_of_floor(path)
    return [
        Row(
            name=f"Score beside {_CONNECTIONS * STREAMS_PER_CONNECTION} ScoreStreams, none of them read",
            requests_per_s=round(len(beside.answered_s) / seconds, 1),
            goal=f"{MOST_STREAMS} stay open, memory at most {_MOST_GROWTH_MIB} MiB above that of "
            "before, no probe late, none failed",
            met=caller.still_open == MOST_STREAMS
            and growth_mib <= _MOST_GROWTH_MIB
            and not beside.late
            and not beside.failed,
            note=f"{caller.still_open} stayed open, which sent {caller.taken} messages; memory "
            f"{before_mib:.0f} MiB before, {growth_mib:+.0f} MiB at its peak; {beside}; "
            f"without them {alone}; memory of a server that answers each message at once, with "
            f"{MOST_STREAMS} streams: {floor_mib:+.0f} MiB",
        )
    ]


async def _growth_of_floor(path: RequestPath) -> float:
    """Return the growth of memory of a server that holds no message, in MiB."""
    address = f"127.0.0.1:{free_port()}"
    spec = ProcessSpec("floor", ("-m", "benchmarks.floor", address), health_target=address)
    await path.supervisor.start(spec)
    floor = psutil.Process(path.supervisor.pids()["floor"])
    before_mib = resident_mib(floor)
    async with (
        peak_mib(floor) as samples,
        _unread_caller(address, MOST_STREAMS // STREAMS_PER_CONNECTION),
    ):
        pass
    return max(samples) - before_mib


@asynccontextmanager
async def _unread_caller(address: str, connections: int) -> AsyncIterator[UnreadCaller]:
    """Run a process with unread streams; it has sent all that is taken when the block begins."""
    caller = UnreadCaller()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.unread_callers", address, str(connections)),
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
    assert process.stdout is not None  # noqa: S101 - as above
    try:
        caller.taken = int(await process.stdout.readline())
        yield caller
        process.stdin.close()
        caller.still_open = int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


SCENARIOS = (Scenario("unread-streams", measure_unread_streams),)
