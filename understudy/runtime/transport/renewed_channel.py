"""A channel for asyncio whose new calls go over connections that its opener still allows."""

import asyncio
from datetime import timedelta
from typing import Protocol

import grpc
import structlog

from understudy.runtime.transport.chosen_channel import ChosenChannel

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


class RenewedChannel(ChosenChannel):
    """A channel that is replaced before the next call when `renewal` returns another one.

    Calls that are open then go on over the former connection, which closes after the last of them:
    TLS does not ask for a certificate again while a connection lives.
    """

    def __init__(self, first: grpc.aio.Channel, renewal: Renewal) -> None:
        super().__init__()
        self._current = first
        self._renewal = renewal
        self._ending: set[asyncio.Task[None]] = set()

    def current(self) -> grpc.aio.Channel:
        renewed = self._renewal()
        if renewed is not None:
            former, self._current = self._current, renewed
            ending = asyncio.get_running_loop().create_task(former.close(_LONGEST_CALL_S))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            _log.info("channel_renewed", former_ones=len(self._ending))
        return self._current

    @property
    def last_used(self) -> grpc.aio.Channel:
        return self._current

    async def close(self, grace: float | None = None) -> None:
        """Close the channel and those that it replaced; calls have `grace` seconds to end."""
        async with asyncio.TaskGroup() as group:
            ending = {*self._ending, group.create_task(self._current.close(grace))}
            await asyncio.wait(ending, timeout=grace or 0)
            for call in self._calls:
                call.cancel()  # gRPC ignores a second close with less time
        await asyncio.gather(*ending)
