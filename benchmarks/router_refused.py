"""CPU and memory of a router for calls that it refuses, by kind."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psutil

from benchmarks.refused_kinds import (
    Kind,
    Target,
    cpu_s,
    refused_by_registry,
    refused_by_router,
    with_children,
)
from benchmarks.refused_while_full import Hold, refused_by_full_registry
from benchmarks.request_path import SCORE_METHOD, RequestPath, open_request_path, request_of
from benchmarks.rows import Effort, Row, Scenario
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec

_IN_FLIGHT = 4
_MOST_TIMES = 2  # the CPU of a scored call, plus the transport of the bytes
_MOST_GROWTH_MIB = 32  # of the peak of memory
_MANY_CALLS = 100_000
_LARGE_AMONG_MANY = 500  # every so many-th of them is a large one
_SAMPLE_EVERY_S = 0.05
_CALL_LIMIT_S = 60.0
_ENTITY_ID = "u1"
_MIB = 1 << 20


@dataclass(slots=True)
class Meter:
    """The cost of calls of one kind to one process, over several turns."""

    target: Target
    refuses: bool = False  # an answer would be another measurement
    calls: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    peaks_mib: list[float] = field(default_factory=list)

    async def turn(self, kind: Kind, seconds: float) -> None:
        await self._repeat(kind, seconds / 4)  # caches and the allocator
        began_s, used_s = time.monotonic(), cpu_s(self.target.process)
        async with _peak_mib(self.target.process) as samples:
            self.calls += await self._repeat(kind, seconds)
        self.peaks_mib.append(max(samples))
        self.seconds += time.monotonic() - began_s
        self.cpu_s += cpu_s(self.target.process) - used_s

    async def _repeat(self, kind: Kind, seconds: float) -> int:
        """Make calls for that time, a few at once; return their number."""
        until_s = time.monotonic() + seconds
        return sum(await asyncio.gather(*(self._until(kind, until_s) for _ in range(_IN_FLIGHT))))

    async def _until(self, kind: Kind, until_s: float) -> int:
        calls = 0
        while time.monotonic() < until_s or not calls:
            if await kind.call(self.target.channel, timeout_s=_CALL_LIMIT_S) is not self.refuses:
                raise LookupError(f"{kind.name}: refused by {self.target.name}: {not self.refuses}")
            calls += 1
        return calls

    @property
    def cpu_us(self) -> float:
        """CPU of one call; 0 without calls."""
        return self.cpu_s / max(self.calls, 1) * 1e6

    @property
    def growth_mib(self) -> float:
        """The growth of the peak from the first turn to the last."""
        return self.peaks_mib[-1] - self.peaks_mib[0]


async def measure_refused(effort: Effort, folder: Path) -> list[Row]:
    """Measure the CPU of each kind of refused call against a scored one of the same client.

    Transport is the CPU of a server that reads nothing of the same bytes. The three take turns.
    """
    async with _three_servers(folder) as (path, targets):
        router, registry, floor = targets
        await path.score(_ENTITY_ID)
        rows = [
            await _measured(kind, router, floor, router, effort) for kind in refused_by_router()
        ]
        rows += [
            await _measured(kind, registry, floor, router, effort) for kind in refused_by_registry()
        ]
        rows += [
            await _measured(full.kind, registry, floor, router, effort, full.hold)
            for full in refused_by_full_registry(registry)
        ]
        rows.append(await _many(router, refused_by_router(), effort))
        return rows


@asynccontextmanager
async def _three_servers(
    folder: Path,
) -> AsyncIterator[tuple[RequestPath, tuple[Target, Target, Target]]]:
    """Start a router, a registry, and a server that reads nothing."""
    registry, floor = (f"127.0.0.1:{free_port()}" for _ in range(2))
    directory = str(folder / "registry")
    async with open_request_path(folder) as path:
        await path.supervisor.start(
            ProcessSpec(
                "registry",
                ("-m", "registry", "serve", "--dir", directory, "--listen", registry),
                health_target=registry,
                environment={"REGISTRY_UNPROVEN": "true"},
            )
        )
        await path.supervisor.start(
            ProcessSpec("floor", ("-m", "benchmarks.floor", floor), health_target=floor)
        )
        pids = path.supervisor.pids()
        async with (
            grpc.aio.insecure_channel(path.address) as to_router,
            grpc.aio.insecure_channel(registry) as to_registry,
            grpc.aio.insecure_channel(floor) as to_floor,
        ):
            channels = {"router": to_router, "registry": to_registry, "floor": to_floor}
            targets = [
                Target(name, psutil.Process(pids[name]), channel)
                for name, channel in channels.items()
            ]
            yield path, (targets[0], targets[1], targets[2])


async def _measured(
    kind: Kind,
    target: Target,
    floor: Target,
    scorer: Target,
    effort: Effort,
    hold: Hold = nullcontext,
) -> Row:
    refusing, transport, scoring = Meter(target, refuses=True), Meter(floor), Meter(scorer)
    for _ in range(max(2, effort.rounds)):
        async with hold():
            await refusing.turn(kind, effort.seconds)
        if kind.body:  # a call without a message transports no bytes
            await transport.turn(kind, effort.seconds / 2)
        await scoring.turn(_scored(), effort.seconds / 2)
    most_us = _MOST_TIMES * scoring.cpu_us + transport.cpu_us
    return Row(
        name=f"refused: {kind.name}",
        requests_per_s=round(refusing.calls / refusing.seconds, 1),
        goal=f"CPU <= {_MOST_TIMES} x a Score + transport ({most_us:.0f} us), memory flat",
        met=refusing.cpu_us <= most_us and refusing.growth_mib <= _MOST_GROWTH_MIB,
        cpu_us_per_request={target.name: refusing.cpu_us},
        note=(
            f"{len(kind.body)} bytes, {refusing.calls} calls, peak of memory "
            f"{refusing.growth_mib:+.1f} MiB; a Score {scoring.cpu_us:.0f} us, "
            f"transport {transport.cpu_us:.0f} us"
        ),
    )


async def _many(target: Target, kinds: Sequence[Kind], effort: Effort) -> Row:
    """Make 10^5 refused calls of all kinds, and compare the peaks of memory of the quarters."""
    large = [kind for kind in kinds if kind.is_large]
    small = [kind for kind in kinds if not kind.is_large]
    calls = round(_MANY_CALLS * min(1.0, effort.seconds * effort.rounds / 12))
    order = [
        large[at // _LARGE_AMONG_MANY % len(large)]
        if large and at % _LARGE_AMONG_MANY == 0
        else small[at % len(small)]
        for at in range(calls)
    ]
    began_s, peaks = time.monotonic(), []
    for quarter in range(4):
        coming = iter(order[quarter::4])
        async with _peak_mib(target.process) as samples:
            await asyncio.gather(*(_call_each(target.channel, coming) for _ in range(_IN_FLIGHT)))
        peaks.append(max(samples))
    shown = ", ".join(f"{peak:.0f}" for peak in peaks)
    return Row(
        name=f"refused by the {target.name}: {calls:,} calls of all kinds",
        requests_per_s=round(calls / (time.monotonic() - began_s), 1),
        goal=f"memory flat: the last quarter's peak at most {_MOST_GROWTH_MIB} MiB above the first's",
        met=peaks[-1] - peaks[0] <= _MOST_GROWTH_MIB,
        note=f"every {_LARGE_AMONG_MANY}th call is large; peaks of the quarters: {shown} MiB",
    )


async def _call_each(channel: grpc.aio.Channel, coming: Iterator[Kind]) -> None:
    for kind in coming:
        await kind.call(channel, timeout_s=_CALL_LIMIT_S)


def _scored() -> Kind:
    return Kind("Score", SCORE_METHOD, request_of(_ENTITY_ID).SerializeToString())


@asynccontextmanager
async def _peak_mib(process: psutil.Process) -> AsyncIterator[list[float]]:
    """Sample the resident memory; the allocator keeps some for reuse, so single samples say little."""
    samples = [_resident_mib(process)]

    async def sample() -> None:
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            samples.append(_resident_mib(process))

    async with asyncio.TaskGroup() as tasks:
        sampling = tasks.create_task(sample())
        yield samples
        sampling.cancel()


def _resident_mib(process: psutil.Process) -> float:
    return sum(each.memory_info().rss for each in with_children(process)) / _MIB


SCENARIOS = (Scenario("refused", measure_refused),)
