"""The counts of a router's workers on this machine, read over their admin sockets."""

from pathlib import Path

import grpc

from understudy.domain.errors import UnavailableError
from understudy.router.v1 import router_pb2, router_pb2_grpc
from understudy.runtime.transport.transport import LOCAL

_TIMEOUT_S = 5.0


async def read_books(state_dir: Path) -> list[router_pb2.GetRouterStatusResponse]:
    """Return the counts of each worker whose socket is in `state_dir`.

    Raises:
        UnavailableError: there is no worker, or one does not answer.
    """
    sockets = _sockets(state_dir)
    if not sockets:
        raise UnavailableError("router", f"no worker's socket in {state_dir}")
    return [await _read_one(socket) for socket in sockets]


def _sockets(state_dir: Path) -> list[Path]:
    return sorted(state_dir.resolve().glob("worker-*.sock"))


async def _read_one(socket: Path) -> router_pb2.GetRouterStatusResponse:
    async with LOCAL.open_channel(f"unix:{socket}") as channel:
        stub = router_pb2_grpc.RouterAdminServiceStub(channel)
        try:
            return await stub.GetRouterStatus(
                router_pb2.GetRouterStatusRequest(), timeout=_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            raise UnavailableError(f"router {socket.name}", error.code().name) from error
