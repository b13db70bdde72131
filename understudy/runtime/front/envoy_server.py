"""The server inside Envoy, behind the port of all servers."""

import asyncio
from collections.abc import Callable, Sequence

import grpc
import structlog

from understudy.domain.errors import UnavailableError
from understudy.runtime.front.asgi_server import AsgiServer
from understudy.runtime.front.envoy_admin import EnvoyAdmin
from understudy.runtime.front.envoy_worker import DRAIN_S

_LOOK_EVERY_S = 0.02
_LIVE_WITHIN_S = 60.0
_log = structlog.get_logger()


class EnvoyServer:
    """Lets Envoy listen at the start, and drains it at the stop."""

    def __init__(
        self, calls: AsgiServer, admin: EnvoyAdmin, let_listen: Callable[[], None]
    ) -> None:
        """`let_listen`: ends Envoy's wait for the application."""
        self._calls = calls
        self._admin = admin
        self._let_listen = let_listen

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler], /) -> None:
        self._calls.add_generic_rpc_handlers(handlers)

    async def start(self) -> None:
        """Return once Envoy listens.

        Raises:
            UnavailableError: it does not. (It ends the process if the port is in use.)
        """
        await self._calls.start()
        self._let_listen()
        try:
            async with asyncio.timeout(_LIVE_WITHIN_S):
                while not await self._admin.is_live():  # noqa: ASYNC110 - Envoy sends no event
                    await asyncio.sleep(_LOOK_EVERY_S)
        except TimeoutError:
            raise UnavailableError("Envoy", f"does not listen after {_LIVE_WITHIN_S} s") from None

    async def stop(self, grace: float | None, /) -> None:
        """Tell callers to connect elsewhere; cancel calls that are open after `grace` seconds.

        Envoy counts the open calls: it knows those that have not reached the application, and
        those whose answer has not left.
        """
        try:
            async with asyncio.timeout(grace or 0.0):
                await self._admin.begin_drain()
                await asyncio.sleep(DRAIN_S)
                await self._admin.stop_listening()
                await self._until_quiet()
        except TimeoutError:
            _log.debug("calls_cancelled", calls=self._calls.open_calls)
        except UnavailableError as error:
            _log.error("front_not_drained", why=str(error))
        await self._calls.stop(None)

    async def _until_quiet(self) -> None:
        while await self._admin.open_calls():  # noqa: ASYNC110 - Envoy sends no event
            await asyncio.sleep(_LOOK_EVERY_S)
