"""Calls that a router refuses for want of room: in its gate, in Envoy, or among one address's streams."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import grpc
import psutil

from benchmarks.model import MODEL
from benchmarks.refused_kinds import SCORING, Case, Kind, Shape, Target, batch_of
from benchmarks.request_path import SCORE_METHOD, RequestPath, request_of
from benchmarks.unread_callers import STREAMS_PER_CONNECTION, held_unread
from understudy.runtime.front.choice import Front
from understudy.scoring.v1 import scoring_pb2 as pb

MOST_STREAMS = 64  # of one address, by default
_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
_MOST_ROWS = 4
_MOST_OPEN_CALLS = 8
_HELD_S = 3_000.0  # longer than a measurement takes
_SCORERS = "scorers"  # the name of the host's process


_HOLDS_CALLS = {
    "ROUTER_LARGEST_DEADLINE_S": str(_HELD_S),
    "ROUTER_SCORER_TIMEOUT_S": str(_HELD_S),
}


@dataclass(frozen=True, slots=True)
class SmallRouter:
    """A router that a few calls fill."""

    name: str
    environment: Mapping[str, str]
    most_calls: int
    refusal: grpc.StatusCode = _FULL


FULL_ROUTER = SmallRouter(
    "full-router",
    {
        "ROUTER_LEAST_OUTSTANDING_ROWS": str(_MOST_ROWS),
        "ROUTER_MOST_OUTSTANDING_ROWS": str(_MOST_ROWS),
        **_HOLDS_CALLS,
    },
    _MOST_ROWS,
)
CAPPED_ROUTER = SmallRouter(
    "capped-router",
    {
        "ROUTER_FRONT": Front.ENVOY.value,
        "ROUTER_MOST_OPEN_CALLS": str(_MOST_OPEN_CALLS),
        **_HOLDS_CALLS,
    },
    _MOST_OPEN_CALLS,
    grpc.StatusCode.UNAVAILABLE,
)


def refused_by_full_router(path: RequestPath, router: Target) -> Sequence[Case]:
    """Return calls that the small router refuses while its scorers do not answer."""
    reported = [pb.Outcome(model=MODEL, request_id=f"r{at}", label=1.0) for at in range(10_000)]
    outcomes = pb.RecordOutcomesRequest(outcomes=reported).SerializeToString()
    explained = pb.ExplainAssignmentRequest(model=MODEL, unit_key="u1").SerializeToString()
    kinds = (
        Kind("RecordOutcomes of 10,000, full gate", SCORING + "RecordOutcomes", outcomes),
        Kind("ScoreBatch of 10,000, full gate", SCORING + "ScoreBatch", batch_of({})),
        Kind("Score, full gate", SCORE_METHOD, request_of("u1").SerializeToString()),
        Kind("ExplainAssignment, full gate", SCORING + "ExplainAssignment", explained),
    )
    return [
        Case(_refused_as_full(kind), router, lambda: _full(path, router, FULL_ROUTER))
        for kind in kinds
    ]


def refused_by_capped_router(path: RequestPath, router: Target) -> Case:
    """Return a call that Envoy refuses, before Python, while the scorers do not answer."""
    kind = Kind(
        "Score, full cap of Envoy",
        *(SCORE_METHOD, request_of("u1").SerializeToString()),
        status=CAPPED_ROUTER.refusal,
    )
    return Case(kind, router, lambda: _full(path, router, CAPPED_ROUTER))


def unread_streams(router: Target, address: str) -> Case:
    """Return a further stream of an address whose open ones are never read."""
    kind = Kind(
        f"ScoreStream, {MOST_STREAMS} open that are never read",
        *(SCORING + "ScoreStream", b"", Shape.STREAM, _FULL),
    )
    return Case(kind, router, lambda: held_unread(address, MOST_STREAMS // STREAMS_PER_CONNECTION))


@asynccontextmanager
async def _full(path: RequestPath, router: Target, small: SmallRouter) -> AsyncIterator[None]:
    """Fill the router with calls that wait for stopped scorers, and let them end with the block.

    The host stops first and continues last: it would replace scorers that do not answer it.
    """
    host = psutil.Process(path.supervisor.pids()[_SCORERS])
    scorers = host.children(recursive=True)
    async with asyncio.TaskGroup() as tasks:  # the held calls are answered when the scorers go on
        for process in (host, *scorers):
            process.suspend()
        try:
            # As many again: the router takes those that fill it, and refuses the others.
            calls = [tasks.create_task(_status(router)) for _ in range(2 * small.most_calls)]
            for ended in islice(asyncio.as_completed(calls), small.most_calls):
                if (status := await ended) is not small.refusal:
                    raise LookupError(f"{router.name}: it is not full: {status}")
            yield
        finally:
            for process in (*scorers, host):
                process.resume()


async def _status(router: Target) -> grpc.StatusCode:
    score: Any = router.channel.unary_unary(SCORE_METHOD)
    call = score(request_of("u1").SerializeToString(), timeout=_HELD_S)
    return cast("grpc.StatusCode", await call.code())


def _refused_as_full(kind: Kind) -> Kind:
    return Kind(kind.name, kind.path, kind.body, kind.shape, _FULL)
