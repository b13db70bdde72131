"""The port behind which our servers stand."""

from collections.abc import Sequence
from typing import Protocol

import grpc


class Server(Protocol):
    """A gRPC server, or several that act as one. It takes grpc's own handler objects."""

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler], /) -> None:
        """Add services; before the start."""
        ...

    async def start(self) -> None:
        """Return once calls are accepted."""
        ...

    async def stop(self, grace: float | None, /) -> None:
        """Accept no more calls; cancel those that are open after `grace` seconds, None for now."""
        ...
