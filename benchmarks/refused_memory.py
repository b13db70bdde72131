"""Memory of a router and a registry over 10^5 calls of each kind that they refuse."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path

import psutil

from benchmarks.refused_cases import open_refusals
from benchmarks.refused_kinds import Case, with_children
from benchmarks.rows import Effort, Row, Scenario

MOST_GROWTH_MIB = 32  # of the peak of memory
_CALLS = 100_000
_BYTES = 8 << 30  # of all calls of a kind: for large ones fewer calls
_WHOLE_S = 12.0  # of effort; a smaller one makes fewer calls
_IN_FLIGHT = 16
_QUARTERS = 4
_SAMPLE_EVERY_S = 0.05
_CALL_LIMIT_S = 60.0
_MIB = 1 << 20


async def measure_memory(effort: Effort, folder: Path) -> list[Row]:
    """Make many calls of each kind, and compare the peaks of memory of their quarters."""
    share = min(1.0, effort.seconds * effort.rounds / _WHOLE_S)
    async with open_refusals(folder) as open_ones:
        return [await _measured(case, share) for case in open_ones.cases]


async def _measured(case: Case, share: float) -> Row:
    quarter = round(share * min(_CALLS, _BYTES // max(1, len(case.kind.body))) / _QUARTERS)
    process = case.target.process
    before_mib, began_s, peaks = resident_mib(process), time.monotonic(), []
    async with case.hold():
        held_mib = resident_mib(process)
        for _ in range(_QUARTERS):
            async with peak_mib(process) as samples:
                await _call(case, quarter)
            peaks.append(max(samples))
    calls, growth_mib = _QUARTERS * quarter, peaks[-1] - peaks[0]
    shown = ", ".join(f"{peak:.0f}" for peak in peaks)
    return Row(
        name=f"memory over {calls:,} calls: {case.kind.name}",
        requests_per_s=round(calls / (time.monotonic() - began_s), 1),
        goal=f"flat: the last quarter's peak at most {MOST_GROWTH_MIB} MiB above the first's",
        met=growth_mib <= MOST_GROWTH_MIB,
        note=f"{growth_mib:+.1f} MiB; {case.target.name}: {before_mib:.0f} MiB before, "
        f"{held_mib:.0f} MiB before the first call, peaks of the quarters {shown} MiB",
    )


async def _call(case: Case, calls: int) -> None:
    """Make calls, a few at once.

    Raises:
        LookupError: one was answered; that would be another measurement.
    """
    left = repeat(None, max(1, calls // case.kind.messages))
    await asyncio.gather(*(_call_each(case, left) for _ in range(_IN_FLIGHT)))


async def _call_each(case: Case, left: Iterator[None]) -> None:
    for _ in left:
        if not await case.kind.call(case.target.channel, timeout_s=_CALL_LIMIT_S):
            raise LookupError(f"{case.kind.name}: answered by {case.target.name}")


@asynccontextmanager
async def peak_mib(process: psutil.Process) -> AsyncIterator[list[float]]:
    """Sample the resident memory; the allocator keeps some for reuse, so single samples say little."""
    samples = [resident_mib(process)]

    async def sample() -> None:
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            samples.append(resident_mib(process))

    async with asyncio.TaskGroup() as tasks:
        sampling = tasks.create_task(sample())
        yield samples
        sampling.cancel()


def resident_mib(process: psutil.Process) -> float:
    """Return the memory of a process and its descendants."""
    return sum(each.memory_info().rss for each in with_children(process)) / _MIB


SCENARIOS = (Scenario("refused-memory", measure_memory),)
