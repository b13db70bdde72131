"""Ask every worker of a router over its admin socket."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from understudy.router.v1 import router_pb2, router_pb2_grpc
from understudy.runtime.exit_codes import DATA_ERROR, FAILED, REFUSED, UNAVAILABLE

if TYPE_CHECKING:  # the generated stub of grpc.aio exists for type checkers only
    from understudy.router.v1.router_pb2_grpc import RouterAdminServiceAsyncStub as Stub
else:
    Stub = Any

_EXIT_CODES = {
    grpc.StatusCode.UNAVAILABLE: UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNAVAILABLE,
    grpc.StatusCode.INVALID_ARGUMENT: DATA_ERROR,
    grpc.StatusCode.NOT_FOUND: REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: REFUSED,
    grpc.StatusCode.ABORTED: REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: REFUSED,
}


@dataclass(frozen=True, slots=True)
class Answers:
    by_worker: Mapping[str, Any]  # by name of the socket; None where it failed
    failed: Mapping[str, grpc.aio.AioRpcError]


def ask_workers(state_dir: Path, ask: Callable[[Stub], Awaitable[Any]]) -> Answers:
    """Put one question to all workers that have a socket in `state_dir`."""
    sockets = sorted(state_dir.resolve().glob("worker-*.sock"))

    async def ask_all() -> Answers:
        answers: dict[str, Any] = {}
        failed: dict[str, grpc.aio.AioRpcError] = {}
        for path in sockets:
            async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
                try:
                    answers[path.stem] = await ask(router_pb2_grpc.RouterAdminServiceStub(channel))
                except grpc.aio.AioRpcError as error:
                    answers[path.stem] = None
                    failed[path.stem] = error
        return Answers(answers, failed)

    return asyncio.run(ask_all())


async def get_status(stub: Stub) -> router_pb2.GetRouterStatusResponse:
    return await stub.GetRouterStatus(router_pb2.GetRouterStatusRequest(), timeout=5.0)


def exit_code_of(code: grpc.StatusCode) -> int:
    """Return the exit code of a command that was answered with `code`."""
    return _EXIT_CODES.get(code, FAILED)
