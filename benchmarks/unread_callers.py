"""Callers that open ScoreStreams, send all that is taken, and never read.

`python -m benchmarks.unread_callers ADDRESS CONNECTIONS` is such a caller as a process of its own, so that
its work delays no measurement: it writes a line with the number of messages that were taken once no more
are, and one with the number of streams that are still open when its input ends.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from benchmarks.refused_kinds import SCORING
from benchmarks.request_path import request_of
from understudy.runtime.protobuf_bytes import varint
from understudy.scoring.v1 import scoring_pb2 as pb

STREAMS_PER_CONNECTION = 8
_HELD_S = 3_000.0  # longer than a measurement takes
_QUIET_S = 2.0  # without a message that is taken: no more will be
_MOST_S_TO_FILL = 600.0
_NICE = 19  # a caller of another machine would take nothing from the router's
_PADDING_BYTES = 40_000
_UNKNOWN_FIELD = b"\xfa\x01"  # 31, length-delimited


@dataclass(slots=True)
class UnreadStreams:
    """Streams of one caller, which sends and never reads."""

    calls: list[Any] = field(default_factory=list)
    taken: int = 0  # messages that gRPC has passed on

    @property
    def still_open(self) -> int:
        return sum(not call.done() for call in self.calls)

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
            for _ in range(STREAMS_PER_CONNECTION):
                streams.calls.append(opened(streams.messages(message), timeout=_HELD_S))
        await streams.until_none_is_taken()
        yield streams
        for call in streams.calls:
            call.cancel()


def _padded(message: bytes) -> bytes:
    return message + _UNKNOWN_FIELD + varint(_PADDING_BYTES) + bytes(_PADDING_BYTES)


async def _hold(address: str, connections: int) -> None:
    async with held_unread(address, connections) as streams:
        print(streams.taken, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(streams.still_open, flush=True)


if __name__ == "__main__":
    os.nice(_NICE)
    asyncio.run(_hold(sys.argv[1], int(sys.argv[2])))
