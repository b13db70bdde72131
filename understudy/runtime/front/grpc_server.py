"""grpc.aio servers: bounded messages, one port for several."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from understudy.runtime.front.port import Server

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_LEAST_PING_INTERVAL_MS = 5_000


class ServerGroup:
    """Several gRPC servers of one process on one port that act as one server.

    A grpc.aio server has exactly one accept outstanding, and each accept costs a round trip between
    gRPC's thread and the event loop. With several servers, which share the connections, calls are
    accepted side by side. For servers created with `reuse_port`.
    """

    def __init__(self, servers: Sequence[grpc.aio.Server]) -> None:
        self.servers = tuple(servers)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        for server in self.servers:
            server.add_generic_rpc_handlers(handlers)

    async def start(self) -> None:
        for server in self.servers:
            await server.start()

    async def stop(self, grace: float | None) -> None:
        await asyncio.gather(*(server.stop(grace) for server in self.servers))


@asynccontextmanager
async def started(server: Server) -> AsyncIterator[None]:
    """Start the server, and stop it at once on leaving, also by an error.

    A grpc.aio server that is collected while it runs waits for its threads inside the collector, and
    may wait for ever.
    """
    try:
        await server.start()
        yield
    finally:
        await server.stop(None)


def new_server(
    *, reuse_port: bool = False, max_message_bytes: int = MAX_MESSAGE_BYTES, **options: Any
) -> grpc.aio.Server:
    """Return a server without services.

    `reuse_port` lets several processes share one port; without it a port in use is an error.
    `options`: grpc-core channel arguments by short name, which override ours.
    """
    chosen = {
        "so_reuseport": int(reuse_port),
        "enable_channelz": 0,  # statistics on each call, for a service that we do not offer
        "max_receive_message_length": max_message_bytes,
        "max_send_message_length": max_message_bytes,
        # Clients ping on idle streams (Watch, ScoreStream). By default a server treats that
        # as abuse and ends the connection with too_many_pings after some minutes.
        "http2.min_ping_interval_without_data_ms": _LEAST_PING_INTERVAL_MS,
        "keepalive_permit_without_calls": 1,
        **options,  # each name once: gRPC uses the first of two equal ones
    }
    return grpc.aio.server(options=[(f"grpc.{name}", value) for name, value in chosen.items()])
