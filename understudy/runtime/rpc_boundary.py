"""The boundary of generated servicers: requests arrive as bytes, failures leave by one table.

gRPC's generated handlers parse before any code of ours runs: bytes that are no message would end
a call with UNKNOWN and the text of a Python exception, and write a stack trace to the log.
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from understudy.runtime.grpc_errors import abort_with
from understudy.runtime.parsing import RequestForm

Context = grpc.aio.ServicerContext[Any, Any]


class Form(Protocol):
    """A kind of request: reads it from bytes, whole or as far as its method wants to begin with."""

    @property
    def kind(self) -> type[Message]: ...

    def read(self, received: bytes, /) -> Any:
        """Return the request that the method takes; raise InvalidInputError to refuse the bytes."""
        ...


Forms = Mapping[type[Message], Form]

# Is called with the context and the name of the call before a request is read; raises to refuse it.
Guard = Callable[[Context, str], None]

# Is told of each call that fails, with the context, the name of the call and the failure.
Failed = Callable[[Context, str, Exception], None]

_NO_FORMS: Forms = MappingProxyType({})


def open_to_all(_context: Context, _rpc: str) -> None:
    """Refuse no call: the guard of services that only their own machine can reach."""


def ignore_failure(_context: Context, _rpc: str, _error: Exception) -> None:
    """Do nothing: failed calls are counted elsewhere."""


class TakesHandlers(Protocol):
    """A server, or several that act as one."""

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...], /) -> None: ...


class AnswerRoom(Protocol):
    """Counts answers until they are read, and bounds them: a caller may read slowly, or never."""

    def enter(self, context: Context, /) -> Callable[[bytes], None]:
        """Raise the reason for refusing a call with one answer, or return the counter of its answer."""
        ...

    def room(
        self, context: Context, write: Callable[[], bytes], /
    ) -> AbstractAsyncContextManager[bytes]:
        """Wait for room for a message of a stream; `write` returns it."""
        ...


def add_bounded(
    server: TakesHandlers,
    add: Callable[[Any], None],
    forms: Iterable[Form] = (),
    answers: AnswerRoom | None = None,
    guard: Guard = open_to_all,
    failed: Failed = ignore_failure,
) -> None:
    """Let `server` answer with a generated servicer, whose requests are counted before they are read.

    Args:
        server: receives one generic handler per service.
        add: adds the servicer to the server that it is given: a generated `add_…_to_server`.
        forms: bounds of requests; a kind without one has the general bounds.
        answers: the room of its answers; None if nothing bounds those that are not read.
        guard: refuses calls before their requests are read.
        failed: is told of each call that fails, also by the guard.
    """
    recorded = _RecordedHandlers()
    add(recorded)
    by_kind = {form.kind: form for form in forms}
    for service, handlers in recorded.by_service.items():
        bounded = {
            rpc: bounded_handler(rpc, handler, by_kind, answers, guard, failed)
            for rpc, handler in handlers.items()
            if not _is_generated(handler)  # gRPC answers UNIMPLEMENTED
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, bounded),))


def bounded_handler(
    rpc: str,
    handler: Any,
    forms: Forms = _NO_FORMS,
    answers: AnswerRoom | None = None,
    guard: Guard = open_to_all,
    failed: Failed = ignore_failure,
) -> Any:
    """Return a handler of the same shape that takes bytes; `handler` has a generated deserialiser."""
    kind = handler.request_deserializer.__self__
    behaviour = _behaviour_of(handler) if answers is None else _kept(handler, answers)
    form = forms.get(kind) or RequestForm(kind)
    if handler.request_streaming and handler.response_streaming:
        run = _stream_stream(_Entry(rpc, guard, failed), behaviour, form)
        return grpc.stream_stream_rpc_method_handler(run, None, _bytes_of)
    if handler.request_streaming:
        run = _stream_unary(_Entry(rpc, guard, failed), behaviour, form)
        return grpc.stream_unary_rpc_method_handler(run, None, _bytes_of)
    if handler.response_streaming:
        run = _unary_stream(_Entry(rpc, guard, failed), behaviour, form)
        return grpc.unary_stream_rpc_method_handler(run, None, _bytes_of)
    run = _unary_unary(_Entry(rpc, guard, failed), behaviour, form)
    return grpc.unary_unary_rpc_method_handler(run, None, _bytes_of)


def peer_of(context: Context) -> str:
    """Return the machine of the caller, without the port."""
    peer: str = context.peer() or ""
    return peer.rpartition(":")[0] or peer


@asynccontextmanager
async def answering(context: Context, rpc: str) -> AsyncIterator[None]:
    """Convert a failure in the block to its gRPC status."""
    try:
        yield
    except grpc.aio.AbortError:
        raise  # the call has its status
    except Exception as error:  # noqa: BLE001 - request boundary: each failure gets a status
        await abort_with(context, error, rpc=rpc)


@dataclass(frozen=True, slots=True)
class _Entry:
    """The entry of one call: its name, the guard, and the observer of failures."""

    rpc: str
    guard: Guard
    failed: Failed

    @asynccontextmanager
    async def admitted(self, context: Context) -> AsyncIterator[None]:
        """Ask the guard, and convert a failure in the block to its gRPC status."""
        async with answering(context, self.rpc):
            try:
                self.guard(context, self.rpc)
                yield
            except Exception as error:
                self.failed(context, self.rpc, error)
                raise


class _RecordedHandlers:
    """Receives the handlers of generated code in place of a server."""

    def __init__(self) -> None:
        self.by_service: dict[str, dict[str, Any]] = {}

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        self.by_service.setdefault(service, {}).update(handlers)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Ignore them: they are the registered ones once more."""


def _behaviour_of(handler: Any) -> Any:
    """Return the method of the servicer; a handler has it under the name of its shape."""
    shapes = (
        handler.unary_unary,
        handler.unary_stream,
        handler.stream_unary,
        handler.stream_stream,
    )
    return next(each for each in shapes if each is not None)


def _kept(handler: Any, answers: AnswerRoom) -> Any:
    """Return the method of the servicer, with answers that are counted until they are read."""
    behaviour = _behaviour_of(handler)
    if not handler.response_streaming:

        async def answer(request: Any, context: Context) -> bytes:
            count = answers.enter(context)  # before the work, which may change something
            written = _bytes_of(await behaviour(request, context))
            count(written)
            return written

        return answer

    async def each(request: Any, context: Context) -> AsyncIterator[bytes]:
        async with aclosing(behaviour(request, context)) as responses:
            async for response in responses:
                write = response if callable(response) else partial(_bytes_of, response)
                async with answers.room(context, write) as written:
                    yield written

    return each


def _is_generated(handler: Any) -> bool:
    """Return whether the servicer leaves this method to generated code, which raises."""
    return str(_behaviour_of(handler).__module__).endswith("_pb2_grpc")


def _unary_unary(
    entry: _Entry, behaviour: Callable[[Any, Context], Awaitable[Any]], form: Form
) -> Any:
    async def answer(received: bytes, context: Context) -> Any:
        async with entry.admitted(context):
            return await behaviour(form.read(received), context)

    return answer


def _stream_unary(
    entry: _Entry, behaviour: Callable[[Any, Context], Awaitable[Any]], form: Form
) -> Any:
    async def answer(received: AsyncIterator[bytes], context: Context) -> Any:
        async with entry.admitted(context), aclosing(_messages(received, form)) as messages:
            return await behaviour(messages, context)

    return answer


def _unary_stream(entry: _Entry, behaviour: Callable[[Any, Context], Any], form: Form) -> Any:
    if not inspect.isasyncgenfunction(behaviour):  # it writes by itself
        return _unary_unary(entry, behaviour, form)

    async def answer(received: bytes, context: Context) -> AsyncIterator[Any]:
        # Closed here and not by the garbage collector: its resources must be free at once.
        async with (
            entry.admitted(context),
            aclosing(behaviour(form.read(received), context)) as responses,
        ):
            async for response in responses:
                yield response

    return answer


def _stream_stream(entry: _Entry, behaviour: Callable[[Any, Context], Any], form: Form) -> Any:
    async def answer(received: AsyncIterator[bytes], context: Context) -> AsyncIterator[Any]:
        async with (
            entry.admitted(context),
            aclosing(_messages(received, form)) as messages,
            aclosing(behaviour(messages, context)) as responses,
        ):
            async for response in responses:
                yield response

    return answer


async def _messages(received: AsyncIterator[bytes], form: Form) -> AsyncGenerator[Any, None]:
    arriving = aiter(received)
    try:
        async for each in arriving:
            yield form.read(each)
    finally:
        # gRPC's iterator of a call that is not read to its end keeps the last message, and itself.
        if isinstance(arriving, AsyncGenerator):
            await arriving.aclose()


def _bytes_of(response: Any) -> bytes:
    """Return a message serialised; a behaviour may also return bytes, to serialise once for many."""
    return response if isinstance(response, bytes) else bytes(response.SerializeToString())
