"""Calls that a router refuses for want of room: in its gate, or among the streams of one address."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, cast

import grpc
import psutil

from benchmarks.model import MODEL
from benchmarks.refused_kinds import SCORING, Case, Kind, Shape, Target, batch_of
from benchmarks.request_path import SCORE_METHOD, RequestPath, request_of
from understudy.runtime.protobuf_bytes import varint
from understudy.scoring.v1 import scoring_pb2 as pb

MOST_STREAMS = 64  # of one address, by default
_FULL = grpc.StatusCode.RESOURCE_EXHAUSTED
_MOST_ROWS = 4
_HELD_S = 3_000.0  # longer than a measurement takes
_QUIET_S = 2.0  # without a message that is taken: no more will be
_MOST_S_TO_FILL = 120.0
_STREAMS_PER_CONNECTION = 8
_PADDING_BYTES = 40_000
_UNKNOWN_FIELD = b"\xfa\x01"  # 31, length-delimited
_SCORERS = "scorers"  # the name of the host's process


@dataclass(frozen=True, slots=True)
class SmallRouter:
    """A router whose gate a few calls fill."""

    name: str
    environment: Mapping[str, str]


FULL_ROUTER = SmallRouter(
    "full-router",
    {
        "ROUTER_LEAST_OUTSTANDING_ROWS": str(_MOST_ROWS),
        "ROUTER_MOST_OUTSTANDING_ROWS": str(_MOST_ROWS),
        "ROUTER_LARGEST_DEADLINE_S": str(_HELD_S),
        "ROUTER_SCORER_TIMEOUT_S": str(_HELD_S),
    },
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
    return [Case(_full(kind), router, lambda: _full_gate(path, router)) for kind in kinds]


def unread_streams(router: Target, address: str) -> Case:
    """Return a further stream of an address whose open ones are never read."""
    kind = Kind(
        f"ScoreStream, {MOST_STREAMS} open that are never read",
        *(SCORING + "ScoreStream", b"", Shape.STREAM, _FULL),
    )
    return Case(kind, router, lambda: held_unread(address, MOST_STREAMS // _STREAMS_PER_CONNECTION))


@dataclass(slots=True)
class UnreadStreams:
    """Streams of one caller, which sends and never reads."""

    calls: list[Any] = field(default_factory=list)
    taken: int = 0  # messages that gRPC has passed on

    async def messages(self, message: bytes) -> AsyncIterator[bytes]:
        while True:
            yield message
            self.taken += 1

    async def until_none_is_taken(self) -> None:
        """Return when the router has taken all that it takes without an answer being read.

        Raises:
            TimeoutError: it takes more and more.
        """
        before = -1
        async with asyncio.timeout(_MOST_S_TO_FILL):
            while self.taken != before:
                before = self.taken
                await asyncio.sleep(_QUIET_S)


@asynccontextmanager
async def held_unread(address: str, connections: int) -> AsyncIterator[UnreadStreams]:
    """Open streams, send until no more is taken, and read nothing until the block ends."""
    streams = UnreadStreams()
    message = _padded(pb.ScoreStreamRequest(request=request_of("u1")).SerializeToString())
    # Connections of its own, which let the router write 64 KiB of answers to each stream.
    own = (("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0))
    async with AsyncExitStack() as channels:
        for _ in range(connections):
            channel = await channels.enter_async_context(grpc.aio.insecure_channel(address, own))
            opened: Any = channel.stream_stream(SCORING + "ScoreStream")
            for _ in range(_STREAMS_PER_CONNECTION):
                streams.calls.append(opened(streams.messages(message), timeout=_HELD_S))
        await streams.until_none_is_taken()
        yield streams
        for call in streams.calls:
            call.cancel()


@asynccontextmanager
async def _full_gate(path: RequestPath, router: Target) -> AsyncIterator[None]:
    """Fill the gate with calls that wait for stopped scorers, and let them end with the block.

    The host stops first and continues last: it would replace scorers that do not answer it.
    """
    host = psutil.Process(path.supervisor.pids()[_SCORERS])
    scorers = host.children(recursive=True)
    async with asyncio.TaskGroup() as tasks:  # the held calls are answered when the scorers go on
        for process in (host, *scorers):
            process.suspend()
        try:
            # As many again: the router takes those that fill it, and refuses the others.
            calls = [tasks.create_task(_status(router)) for _ in range(2 * _MOST_ROWS)]
            for ended in islice(asyncio.as_completed(calls), _MOST_ROWS):
                if (status := await ended) is not _FULL:
                    raise LookupError(f"{router.name}: its gate is not full: {status}")
            yield
        finally:
            for process in (*scorers, host):
                process.resume()


async def _status(router: Target) -> grpc.StatusCode:
    score: Any = router.channel.unary_unary(SCORE_METHOD)
    call = score(request_of("u1").SerializeToString(), timeout=_HELD_S)
    return cast("grpc.StatusCode", await call.code())


def _full(kind: Kind) -> Kind:
    return Kind(kind.name, kind.path, kind.body, kind.shape, _FULL)


def _padded(message: bytes) -> bytes:
    return message + _UNKNOWN_FIELD + varint(_PADDING_BYTES) + bytes(_PADDING_BYTES)
