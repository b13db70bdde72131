"""CPU of a router and a registry for calls that they refuse, by kind."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.refused_cases import ENTITY_ID, Refusals, open_refusals
from benchmarks.refused_kinds import Case, Kind, Target, cpu_s
from benchmarks.refused_memory import MOST_GROWTH_MIB, peak_mib
from benchmarks.request_path import SCORE_METHOD, request_of
from benchmarks.rows import Effort, Row, Scenario

_IN_FLIGHT = 4
_MOST_TIMES = 2  # the CPU of a scored call, plus the transport of the bytes
_CALL_LIMIT_S = 60.0
_UNREAD = "/unread"


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
        async with peak_mib(self.target.process) as samples:
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
            calls += kind.messages
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
    async with open_refusals(folder) as open_ones:
        return [await _measured(case, open_ones, effort) for case in open_ones.cases]


async def _measured(case: Case, beside: Refusals, effort: Effort) -> Row:
    kind, name = case.kind, case.target.name
    refusing = Meter(case.target, refuses=True)
    transport, scoring = Meter(beside.floor), Meter(beside.router)
    unread = replace(kind, path=_UNREAD + kind.path)  # the server has services of its own
    for _ in range(max(2, effort.rounds)):
        async with case.hold():
            await refusing.turn(kind, effort.seconds)
        if kind.body:  # a call without a message transports no bytes
            await transport.turn(unread, effort.seconds / 2)
        await scoring.turn(_scored(), effort.seconds / 2)
    most_us = _MOST_TIMES * scoring.cpu_us + transport.cpu_us
    return Row(
        name=f"refused: {kind.name}",
        requests_per_s=round(refusing.calls / refusing.seconds, 1),
        goal=f"CPU <= {_MOST_TIMES} x a Score + transport ({most_us:.0f} us), memory flat",
        met=refusing.cpu_us <= most_us and refusing.growth_mib <= MOST_GROWTH_MIB,
        cpu_us_per_request={name: refusing.cpu_us},
        note=(
            f"{len(kind.body)} bytes, {refusing.calls} calls, peak of memory "
            f"{refusing.growth_mib:+.1f} MiB; a Score {scoring.cpu_us:.0f} us, "
            f"transport {transport.cpu_us:.0f} us"
        ),
    )


def _scored() -> Kind:
    return Kind("Score", SCORE_METHOD, request_of(ENTITY_ID).SerializeToString())


SCENARIOS = (Scenario("refused", measure_refused),)
