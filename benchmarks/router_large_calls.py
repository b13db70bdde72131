"""Calls with a deadline of 100 ms beside legal calls of 10,000 candidates, one after the other."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.refused_kinds import SCORING, batch_of
from benchmarks.request_path import open_request_path
from benchmarks.router_overload import Probes, probing
from benchmarks.rows import Effort, Row, Scenario

_ENTITY_ID = "u1"
_CALL_LIMIT_S = 60.0


async def measure_large_calls(effort: Effort, folder: Path) -> list[Row]:
    """Measure live calls alone, beside large calls in request order, and beside sorted ones."""
    seconds = effort.seconds * effort.rounds
    async with (
        open_request_path(folder) as path,
        grpc.aio.insecure_channel(path.address) as channel,
    ):
        call: Any = channel.unary_unary(SCORING + "ScoreBatch")
        alone = Probes()
        async with probing(path, _ENTITY_ID, alone):
            await asyncio.sleep(seconds / 2)
        rows: list[Row] = []
        for order, body in (
            ("in request order", batch_of({})),
            ("sorted", batch_of({}, sort=True)),
        ):
            probes = Probes()
            async with probing(path, _ENTITY_ID, probes):
                took_s = await _call_for(seconds, call, body)
            rows.append(_row(order, probes, alone, took_s))
    return rows


async def _call_for(seconds: float, call: Any, body: bytes) -> list[float]:
    """Make calls one after the other; return the seconds that each one took."""
    took_s: list[float] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        began_s = time.monotonic()
        if await _is_taken(call(body, timeout=_CALL_LIMIT_S)):
            took_s.append(time.monotonic() - began_s)
    return took_s


def _row(order: str, probes: Probes, alone: Probes, took_s: Sequence[float]) -> Row:
    spread = f"{np.median(took_s) * 1000:.0f} ms at the median" if took_s else "which none entered"
    return Row(
        name=f"Score beside ScoreBatch of 10,000, {order}",
        requests_per_s=round(len(took_s) / max(sum(took_s), 1e-9), 1),
        goal="no probe late, none failed",
        met=not probes.late and not probes.failed,
        note=f"{probes}; {len(took_s)} ScoreBatch calls, of {spread}; without them {alone}",
    )


async def _is_taken(call: Any) -> bool:
    """Return whether the router took it: one larger than the limit enters an empty router only."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return False
    return True


SCENARIOS = (Scenario("large-calls", measure_large_calls),)
