"""A channel for asyncio whose new calls go over connections that its opener still allows."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, Self
from weakref import WeakSet

import grpc
import structlog

_LONGEST_CALL_S = timedelta(days=3650).total_seconds()  # of a call over a replaced connection

_log = structlog.get_logger()


class Renewal(Protocol):
    """The channel of the present certificates."""

    def __call__(self) -> grpc.aio.Channel | None:
        """Return a new channel to replace the one in use; None to stay with it.

        Raises:
            UnavailableError: no call may go out now.
        """
        ...


class RenewedChannel(grpc.aio.Channel):
    """A channel that is replaced before the next call when `renewal` returns another one.

    Calls that are open then go on over the former connection, which closes after the last of them:
    TLS does not ask for a certificate again while a connection lives.
    """

    def __init__(self, first: grpc.aio.Channel, renewal: Renewal) -> None:
        self._current = first
        self._renewal = renewal
        self._calls: WeakSet[grpc.aio.Call] = WeakSet()
        self._ending: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        """Return the channel for a new call.

        Raises:
            UnavailableError: no call may go out now.
        """
        renewed = self._renewal()
        if renewed is not None:
            former, self._current = self._current, renewed
            ending = asyncio.get_running_loop().create_task(former.close(_LONGEST_CALL_S))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            _log.info("channel_renewed", former_ones=len(self._ending))
        return self._current

    async def close(self, grace: float | None = None) -> None:
        """Close the channel and those that it replaced; calls have `grace` seconds to end."""
        async with asyncio.TaskGroup() as group:
            ending = {*self._ending, group.create_task(self._current.close(grace))}
            await asyncio.wait(ending, timeout=grace or 0)
            for call in self._calls:
                call.cancel()  # gRPC ignores a second close with less time
        await asyncio.gather(*ending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - gRPC's
        return self._current.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._current.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._current.channel_ready()

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(lambda channel: channel.unary_unary(*args, **kwargs))

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(lambda channel: channel.unary_stream(*args, **kwargs))

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(lambda channel: channel.stream_unary(*args, **kwargs))

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        return self._method(lambda channel: channel.stream_stream(*args, **kwargs))

    def _method(self, made: Callable[[grpc.aio.Channel], Callable[..., Any]]) -> "_Method":
        return _Method(self, made, self._calls)


class _Method:
    """A method of a service, bound to the present channel at each call."""

    def __init__(
        self,
        channel: RenewedChannel,
        made: Callable[[grpc.aio.Channel], Callable[..., Any]],
        calls: "WeakSet[grpc.aio.Call]",
    ) -> None:
        self._channel = channel
        self._made = made
        self._calls = calls
        self._bound_to: grpc.aio.Channel | None = None
        self._call: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        current = self._channel.current()
        if current is not self._bound_to:
            self._call, self._bound_to = self._made(current), current
        call = self._call(*args, **kwargs)
        self._calls.add(call)
        return call
