"""The registry as a stream of whole snapshots; the last believed one is used while it is away."""

import asyncio
import random
from collections.abc import AsyncIterator

import grpc
import structlog

from understudy.control.belief import Belief
from understudy.domain.errors import InvalidInputError
from understudy.domain.snapshots import LARGEST_SNAPSHOT_BYTES, Snapshot
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc
from understudy.runtime.transport.transport import Transport

_FIRST_RETRY_S = 0.05
_LONGEST_RETRY_S = 2.0
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_SNAPSHOT_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # grpcio 1.85 also applies this limit, a minute by default, to keep-alive pings.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_log = structlog.get_logger()


def open_registry_channel(target: str, transport: Transport) -> grpc.aio.Channel:
    """Return a channel that notices a dead registry and reconnects within a second or so.

    Raises:
        InvalidInputError: see `Transport.open_channel`; it names `registry`.
    """
    return transport.open_channel(target, _CHANNEL_OPTIONS, named="registry")


async def follow(
    channel: grpc.aio.Channel, *, watcher: str, belief: Belief
) -> AsyncIterator[Snapshot]:
    """Yield the state to put into effect, and again after each change, for ever.

    A remembered state comes first, so that a process can start while the registry is away. A state
    that `belief` refuses is not yielded: the one in effect stays.

    Args:
        channel: owned by the caller.
        watcher: name of the watcher, for the registry's log.
        belief: owned by the caller, which lets it remember each state once it is applied.
    """
    if belief.snapshot is not None:
        yield belief.snapshot
    stub = registry_pb2_grpc.RegistryServiceStub(channel)
    retry_s = _FIRST_RETRY_S
    while True:
        call = stub.Watch(registry_pb2.WatchRequest(watcher=watcher))
        try:
            async for message in call:
                accepted = belief.take(message.snapshot)
                retry_s = _FIRST_RETRY_S  # only a readable snapshot proves that all is well
                if accepted is not None:
                    yield accepted
            why = "registry ended the stream"
        except grpc.aio.AioRpcError as error:
            why = error.code().name
        except (InvalidInputError, ValueError, KeyError):
            # A newer registry may send unreadable messages: keep serving the last readable one.
            _log.exception("snapshot_unreadable")
            why = "unreadable snapshot"
        finally:
            call.cancel()  # an abandoned call would keep its slot at the registry
        _log.warning("registry_lost", why=why, retry_ms=round(retry_s * 1000))
        await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        retry_s = min(retry_s * 2, _LONGEST_RETRY_S)
