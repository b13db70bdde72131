"""A channel for asyncio that is chosen anew for each call."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self
from weakref import WeakSet

import grpc


class ChosenChannel(grpc.aio.Channel):
    """A channel whose calls go over the channel that `current` returns when they begin."""

    def __init__(self) -> None:
        self._calls: WeakSet[grpc.aio.Call] = WeakSet()

    @abstractmethod
    def current(self) -> grpc.aio.Channel:
        """Return the channel for a new call.

        Raises:
            UnavailableError: no call may go out now.
        """

    @property
    @abstractmethod
    def last_used(self) -> grpc.aio.Channel:
        """The channel of the latest calls, whose state is that of this one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - gRPC's
        return self.last_used.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self.last_used.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self.last_used.channel_ready()

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
        channel: ChosenChannel,
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
