"""ModelStreamInfer in a test's hands."""

from collections.abc import AsyncIterator, Awaitable, Callable

import grpc

Context = grpc.aio.ServicerContext[bytes, bytes]


def infer_stream(answers: Callable[[bytes], Awaitable[bytes]]) -> grpc.GenericRpcHandler:
    """Serve streams on which each request gets what `answers` returns for it, one by one."""

    async def serve(requests: AsyncIterator[bytes], context: Context) -> None:
        async for body in requests:
            await context.write(await answers(body))

    return infer_streams(serve)


def infer_streams(
    serve: Callable[[AsyncIterator[bytes], Context], Awaitable[None]],
) -> grpc.GenericRpcHandler:
    """Serve each stream by `serve`."""
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(serve)
    return grpc.method_handlers_generic_handler(
        "inference.GRPCInferenceService", {"ModelStreamInfer": method}
    )
