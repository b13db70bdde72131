"""A separate process that calls one scorer at a steady pace.

The measuring process must not be part of the measurement: it shares no event loop and no CPU with
the load and unload, collects no garbage in the meantime, and reports its results only when the end
of its standard input asks it to exit. It represents a caller on another machine.
"""

import asyncio
import gc
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import grpc

from benchmarks.scorer_floor import SERVICE
from benchmarks.scorer_infer import infer_request

CALLS_PER_S = 200
_CALL_LIMIT_S = 10.0
_END_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    due_s: float  # time.monotonic, which all processes of a machine share
    latency_s: float  # from its due time: a load that waits for slow answers would hide them


@dataclass(slots=True)
class SteadyLoad:
    """A running load; `calls` is available once it has ended."""

    process: Process
    calls: list[Call] = field(default_factory=list)

    async def end(self) -> None:
        """End the load and collect its results."""
        async with asyncio.timeout(_END_LIMIT_S):
            told, _ = await self.process.communicate(b"")  # closes its input, which ends it
        self.calls = [Call(*pair) for pair in json.loads(told)]


@asynccontextmanager
async def steady_load(address: str, cpus: Iterable[int]) -> AsyncIterator[SteadyLoad]:
    """Call the scorer at `address` from a process restricted to `cpus` (empty for no restriction)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.scorer_steady_load", address, *map(str, cpus)),
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield SteadyLoad(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _call_until_told(address: str) -> list[tuple[float, float]]:
    calls: list[tuple[float, float]] = []
    request = infer_request(1).SerializeToString()
    async with grpc.aio.insecure_channel(address) as channel:
        infer: Any = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        told = asyncio.ensure_future(_standard_input_ended())
        due_s = monotonic()
        async with asyncio.TaskGroup() as tasks:
            while not told.done():
                due_s += 1 / CALLS_PER_S
                await asyncio.sleep(max(0.0, due_s - monotonic()))
                tasks.create_task(_call(infer, request, due_s, calls))
    return calls


async def _call(infer: Any, request: bytes, due_s: float, calls: list[tuple[float, float]]) -> None:
    await infer(request, timeout=_CALL_LIMIT_S)
    calls.append((due_s, monotonic() - due_s))


async def _standard_input_ended() -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def _main(address: str, *cpus: str) -> None:
    if cpus:
        os.sched_setaffinity(0, map(int, cpus))
    gc.disable()
    json.dump(asyncio.run(_call_until_told(address)), sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
