"""grpc.aio servers: bounded messages, one port for several."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import structlog

from understudy.runtime.front.port import Server

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
STREAM_WINDOW_BYTES = 256 << 10  # sent by a caller before the application reads
_FREE_S = 5.0  # all calls are cancelled
_log = structlog.get_logger()
_LEAST_PING_INTERVAL_MS = 5_000
_MAX_IDLE_S = 300.0  # of a connection without a call: silent ones use up descriptors


class ServerGroup:
    """Several gRPC servers of one process on one port that act as one server.

    A grpc.aio server has exactly one accept outstanding, and each accept costs a round trip between
    gRPC's thread and the event loop. With several servers, which share the connections, calls are
    accepted side by side. For servers opened with `reuse_port`.
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
    """Start the server, and stop it at once on leaving, also by an error."""
    try:
        await server.start()
        yield
    finally:
        await server.stop(None)


@asynccontextmanager
async def open_server(
    *, reuse_port: bool = False, max_message_bytes: int = MAX_MESSAGE_BYTES, **options: Any
) -> AsyncIterator[grpc.aio.Server]:
    """Yield a server without services, which is neither bound nor started; on leaving it is freed.

    There is no other way to a server: one that is left to the collector, because something failed
    before its start, keeps its port, and waits for its threads inside the collector.

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
        # gRPC measures its connections and lets each stream send ahead as much as they would carry:
        # over loopback tens of megabytes, which it holds while the stream is not read.
        "http2.bdp_probe": 0,
        "http2.lookahead_bytes": STREAM_WINDOW_BYTES,
        **idle_limits(_MAX_IDLE_S),
        **options,  # each name once: gRPC uses the first of two equal ones
    }
    server = grpc.aio.server(options=[(f"grpc.{name}", value) for name, value in chosen.items()])
    try:
        yield server
    finally:
        await _free(server)


def idle_limits(seconds: float) -> dict[str, Any]:
    """Return the limits on connections without a call, by channel argument.

    gRPC tells the caller to connect again, which its channel does with its next call. The second limit is that of
    connections that do not even begin to speak.
    """
    idle_ms = round(seconds * 1000)
    return {"max_connection_idle_ms": idle_ms, "server_handshake_timeout_ms": idle_ms}


async def _free(server: grpc.aio.Server) -> None:
    """Stop a server in any state: gRPC frees it in its stop, and stops only one that has started."""
    try:
        async with asyncio.timeout(_FREE_S):
            with suppress(grpc.aio.UsageError):  # it has been stopped
                await server.start()
            await server.stop(None)
    except TimeoutError:
        _log.error("server_not_freed", limit_s=_FREE_S)
