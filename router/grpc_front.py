"""The servers of grpc.aio of one worker, with their limits."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import grpc

from router.settings import RouterSettings
from understudy.runtime.front.grpc_server import ServerGroup, idle_limits, open_server
from understudy.runtime.front.port import Server

_SPARED_SHARE = 0.95  # of the most unread calls: below this none is cancelled


@asynccontextmanager
async def open_grpc_front(settings: RouterSettings) -> AsyncIterator[Server]:
    """Yield the servers of grpc.aio, bound to the port of the settings.

    Raises:
        UnavailableError: the port cannot be opened.
    """
    async with AsyncExitStack() as opened:
        server = ServerGroup(
            [
                await opened.enter_async_context(_one_server(settings))
                for _ in range(settings.listeners)
            ]
        )
        settings.callers_transport.bind(server, settings.listen)
        yield server


def _one_server(settings: RouterSettings) -> AbstractAsyncContextManager[grpc.aio.Server]:
    return open_server(
        reuse_port=True,
        max_message_bytes=settings.largest_request_bytes,
        max_allowed_incoming_connections=max(1, settings.most_connections // settings.listeners),
        max_concurrent_streams=settings.most_calls_per_connection,
        **_backlog(settings.most_unread_calls // settings.listeners),
        **idle_limits(settings.max_connection_idle_s),
        max_connection_age_ms=round(settings.max_connection_age_s * 1000),
        # A stream does not see its connection's age, so it has its own age limit of the same length:
        # the last stream to begin may reach it, and then has as long as any call to finish.
        max_connection_age_grace_ms=round(
            (settings.max_connection_age_s + settings.largest_deadline_s) * 1000
        ),
    )


def _backlog(most_unread_calls: int) -> dict[str, int]:
    """Return the limits on calls that gRPC holds before Python sees them, by channel argument.

    Above the first limit it cancels some new calls, above the second all of them. Accepting a call
    is most of its cost, so in a flood the queue is there, and the answer to a call that has
    waited too long would be lost.
    """
    return {
        "server.max_pending_requests": round(most_unread_calls * _SPARED_SHARE),
        "server.max_pending_requests_hard_limit": most_unread_calls,
    }
