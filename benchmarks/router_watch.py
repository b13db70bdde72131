"""The time from a weight change in the registry to the first answer under it, over the real Watch."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.request_path import (
    CHALLENGER,
    RequestPath,
    deployment_of,
    open_request_path,
    request_of,
)
from benchmarks.rows import Effort, Row, Scenario
from understudy.domain.deployments import Challenger
from understudy.scoring.v1 import scoring_pb2_grpc

MOST_S = 0.25
CHANGES = 20  # in each round
_CALL_EVERY_S = 0.002
_CALL_TIMEOUT_S = 5.0
_CHANGE_LIMIT_S = 10.0


class Seen:
    """The revisions of the answers, and the time when each was first seen; monotonic."""

    def __init__(self) -> None:
        self.calls = 0
        self._first_s: dict[int, float] = {}
        self._changed = asyncio.Condition()

    async def add(self, revision: int) -> None:
        self.calls += 1
        if revision not in self._first_s:
            self._first_s[revision] = time.monotonic()
            async with self._changed:
                self._changed.notify_all()

    async def first_s(self, revision: int) -> float:
        async with asyncio.timeout(_CHANGE_LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: revision in self._first_s)
        return self._first_s[revision]


async def measure_watch(effort: Effort, folder: Path) -> list[Row]:
    """Change the challenger's weight repeatedly under light traffic: a call every 2 ms."""
    revisions = count(2)
    took_s: list[float] = []
    async with open_request_path(folder) as path, light_traffic(path) as seen:
        await seen.first_s(1)
        began_s, calls_before = time.monotonic(), seen.calls
        for number in range(effort.rounds * CHANGES):
            revision = next(revisions)
            weight_bp = 100 * (1 + number % CHANGES)
            changed = replace(
                deployment_of(revision), challengers=(Challenger(CHALLENGER, weight_bp),)
            )
            deployed_s = time.monotonic()
            await path.registry.deploy(changed)
            took_s.append(await seen.first_s(revision) - deployed_s)
        calls_per_s = (seen.calls - calls_before) / (time.monotonic() - began_s)
    p50_ms, p99_ms = np.percentile(took_s, (50, 99)) * 1000
    return [
        Row(
            name="weight change to first answer under it",
            requests_per_s=round(calls_per_s, 1),
            goal=f"< {MOST_S * 1000:.0f} ms",
            met=bool(max(took_s) < MOST_S),
            note=(
                f"median {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms over {len(took_s)} changes, from the "
                "registry's state to the answer at the caller; without a registry's store"
            ),
        )
    ]


@asynccontextmanager
async def light_traffic(path: RequestPath) -> AsyncIterator[Seen]:
    """Score one entity repeatedly while the block runs."""
    seen = Seen()
    async with grpc.aio.insecure_channel(path.address) as channel, asyncio.TaskGroup() as tasks:
        stub = scoring_pb2_grpc.ScoringServiceStub(channel)
        calling = tasks.create_task(_call_forever(stub, seen))
        yield seen
        calling.cancel()


async def _call_forever(stub: Any, seen: Seen) -> None:
    while True:
        answer = await stub.Score(request_of("u0"), timeout=_CALL_TIMEOUT_S, wait_for_ready=True)
        await seen.add(answer.served_by.revision)
        await asyncio.sleep(_CALL_EVERY_S)


SCENARIOS = (Scenario("watch", measure_watch),)
