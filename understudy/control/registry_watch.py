"""The registry as a stream of whole snapshots; the last believed one is used while it is away."""

import asyncio
import random
from collections.abc import AsyncGenerator

import grpc
import structlog

from understudy.control.belief import Belief
from understudy.control.registry_channel import RegistryChannel, addresses_of
from understudy.control.wire import snapshot_from_wire
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
# Of a machine that does not answer at all; 20 s by default, in which no other address is tried.
_CONNECT_LIMIT = ("grpc.min_reconnect_backoff_ms", 10_000)

_log = structlog.get_logger()


def open_registry_channel(registry: str, transport: Transport) -> RegistryChannel:
    """Return a channel that notices a dead registry and reconnects within a second or so.

    Args:
        registry: its address, or several separated by commas.
        transport: to each of them.

    Raises:
        InvalidInputError: see `Transport.open_channel` and `addresses_of`; it names `registry`.
    """
    addresses = addresses_of(registry)
    options = _CHANNEL_OPTIONS if len(addresses) == 1 else (*_CHANNEL_OPTIONS, _CONNECT_LIMIT)
    return RegistryChannel(
        {each: transport.open_channel(each, options, named="registry") for each in addresses}
    )


async def follow(
    channel: RegistryChannel, *, watcher: str, belief: Belief
) -> AsyncGenerator[Snapshot, None]:
    """Yield the state to put into effect, and again after each change, for ever.

    A remembered state comes first, so that a process can start while the registry is away. A state
    that `belief` refuses is not yielded: the one in effect stays, and another address is tried.

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
                # In a thread: a state of a thousand models takes long, and calls must not wait.
                received = await asyncio.to_thread(snapshot_from_wire, message.snapshot)
                accepted = belief.take(message.snapshot, received)
                if accepted is None and channel.has_others:
                    why = "state refused"
                    break
                retry_s = _FIRST_RETRY_S  # only a readable snapshot proves that all is well
                if accepted is not None:
                    yield accepted
            else:
                why = "registry ended the stream"
        except grpc.aio.AioRpcError as error:
            why = error.code().name
        except (InvalidInputError, ValueError, KeyError):
            # A newer registry may send unreadable messages: keep serving the last readable one.
            _log.exception("snapshot_unreadable")
            why = "unreadable snapshot"
        finally:
            call.cancel()  # an abandoned call would keep its slot at the registry
        _log.warning(
            "registry_lost", registry=channel.address, why=why, retry_ms=round(retry_s * 1000)
        )
        channel.move_on()
        await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        retry_s = min(retry_s * 2, _LONGEST_RETRY_S)
