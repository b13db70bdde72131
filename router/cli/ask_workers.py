"""Requests to every worker of a router over its admin socket."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from understudy.domain.errors import NotFoundError, UnavailableError, UnderstudyError
from understudy.router.v1 import router_pb2, router_pb2_grpc
from understudy.runtime.grpc_errors import error_of
from understudy.runtime.transport.transport import LOCAL

if TYPE_CHECKING:  # the generated stub of grpc.aio exists only for type checkers
    from understudy.router.v1.router_pb2_grpc import RouterAdminServiceAsyncStub as Stub
else:
    Stub = Any


@dataclass(frozen=True, slots=True)
class Answers:
    by_worker: Mapping[str, Any]  # of the workers that answered, by name of the socket
    errors: Sequence[UnderstudyError]  # of the others, each with the worker's name

    def require_all(self) -> None:
        """Raise all refusals and failures of the workers at once."""
        if self.errors:
            raise ExceptionGroup("workers of the router", self.errors)


def ask_workers(state_dir: Path, ask: Callable[[Stub], Awaitable[Any]]) -> Answers:
    """Send a request to all workers that have a socket in `state_dir`.

    Raises:
        NotFoundError: the directory does not exist.
        UnavailableError: no worker has a socket in it.
    """
    if not state_dir.is_dir():
        raise NotFoundError("state directory of a router", state_dir)
    sockets = sorted(state_dir.resolve().glob("worker-*.sock"))
    if not sockets:
        raise UnavailableError("router", f"no worker has a socket in {state_dir}")

    async def ask_all() -> Answers:
        answers: dict[str, Any] = {}
        errors: list[UnderstudyError] = []
        for path in sockets:
            async with LOCAL.open_channel(f"unix:{path}") as channel:
                try:
                    answers[path.stem] = await ask(router_pb2_grpc.RouterAdminServiceStub(channel))
                except grpc.aio.AioRpcError as error:
                    told = f"{path.stem}: {error.details()}"
                    errors.append(error_of(error.code(), told, dependency="router"))
        return Answers(answers, errors)

    return asyncio.run(ask_all())


async def get_status(stub: Stub) -> router_pb2.GetRouterStatusResponse:
    return await stub.GetRouterStatus(router_pb2.GetRouterStatusRequest(), timeout=5.0)
