"""The entry of a router's calls: a name that is proven, and a role that allows the call."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from router.decisions.permissions import ROLES_OF_CALL
from understudy.control.known_callers import KnownCallers
from understudy.domain.errors import UnderstudyError
from understudy.domain.identities import require_role
from understudy.runtime.grpc_errors import abort_with
from understudy.runtime.rpc_boundary import Context, Guard, open_to_all

_LOOK_EVERY_S = 1.0  # at the file: a call must not cost a look
Behaviour = Callable[[Any, Context], Coroutine[Any, Any, Any]]


def entry_guard(identities: Path | None) -> Guard:
    """Return the guard of calls: of callers in the file, or of all if there is none.

    Raises:
        InvalidInputError: the file is not usable.
    """
    if identities is None:
        return open_to_all
    known = KnownCallers(identities, lambda: datetime.now(UTC), look_every_s=_LOOK_EVERY_S)

    def require(context: Context, call: str) -> None:
        require_role(known.prove(context).identity, call, ROLES_OF_CALL)

    return require


def guarded_handlers(
    service: str,
    methods: Mapping[str, "grpc.RpcMethodHandler[Any, Any]"],
    guard: Guard,
    on_refusal: Callable[[Exception], None],
) -> grpc.GenericRpcHandler:
    """Return the handler of a service whose calls `guard` refuses before a request is read.

    A router without a guard has the handlers as they are: its calls pay for none.

    Raises:
        AssertionError: a call is not in the table of permissions.
    """
    missing = methods.keys() - ROLES_OF_CALL.keys()
    assert not missing, f"not in the table of permissions: {sorted(missing)}"  # noqa: S101
    if guard is open_to_all:
        entered = dict(methods)
    else:
        entered = {
            call: _guarded(call, handler, guard, on_refusal) for call, handler in methods.items()
        }
    return grpc.method_handlers_generic_handler(service, entered)


def _guarded(
    call: str, handler: Any, guard: Guard, on_refusal: Callable[[Exception], None]
) -> "grpc.RpcMethodHandler[Any, Any]":
    behaviour: Behaviour = handler.unary_unary or handler.stream_stream

    async def answer(received: Any, context: Context) -> Any:
        try:
            guard(context, call)
        except UnderstudyError as error:
            on_refusal(error)
            await abort_with(context, error, rpc=call)
        return await behaviour(received, context)

    shape = (
        grpc.stream_stream_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    found: grpc.RpcMethodHandler[Any, Any] = shape(
        answer, handler.request_deserializer, handler.response_serializer
    )
    return found
