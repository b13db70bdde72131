"""Calls with a deadline of 100 ms beside many streams of one address that send and never read."""

import asyncio
from pathlib import Path

import psutil

from benchmarks.refused_by_full_router import MOST_STREAMS, held_unread
from benchmarks.refused_memory import peak_mib, resident_mib
from benchmarks.request_path import open_request_path
from benchmarks.router_overload import Probes, probing
from benchmarks.rows import Effort, Row, Scenario

_ENTITY_ID = "u1"
_CONNECTIONS = 38
_MOST_GROWTH_MIB = 128  # 64 streams with a mebibyte and a message each, and the buffers of gRPC


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
            held_unread(path.address, _CONNECTIONS) as streams,
        ):
            await asyncio.sleep(seconds)
            held = sum(not call.done() for call in streams.calls)
        growth_mib = max(samples) - before_mib
    return [
        Row(
            name=f"Score beside {len(streams.calls)} ScoreStreams that are never read",
            requests_per_s=round(len(beside.answered_s) / seconds, 1),
            goal=f"{MOST_STREAMS} stay open, memory at most {_MOST_GROWTH_MIB} MiB above that of "
            "before, no probe late, none failed",
            met=held == MOST_STREAMS
            and growth_mib <= _MOST_GROWTH_MIB
            and not beside.late
            and not beside.failed,
            note=f"{held} stayed open, which sent {streams.taken} messages; memory "
            f"{before_mib:.0f} MiB before, {growth_mib:+.0f} MiB at its peak; {beside}; "
            f"without them {alone}",
        )
    ]


SCENARIOS = (Scenario("unread-streams", measure_unread_streams),)
