"""ModelStreamInfer under a test's control; every version of `spec` is ready, from its artifact."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import grpc

from tests.router.samples import spec
from understudy.artifact.digests import LOADED_DIGEST_KEY, LOADED_DIGEST_PROPERTY
from understudy.inference.frames import FRAMES_PROPERTY, VERSION
from understudy.oip import inference_pb2 as oip

Context = grpc.aio.ServicerContext[bytes, bytes]


def answering_each(
    answers: Callable[[bytes], Awaitable[bytes]], *, version: int = 1
) -> grpc.GenericRpcHandler:
    """Serve streams of a version on which `answers` is called for each request, one by one."""

    async def serve(requests: AsyncIterator[bytes], context: Context) -> None:
        async for body in requests:
            await context.write(await answers(body))

    return serving_streams(serve, loaded=lambda: spec(version).artifact_digest)


def serving_streams(
    serve: Callable[[AsyncIterator[bytes], Context], Awaitable[None]],
    *,
    loaded: Callable[[], str] = lambda: spec(1).artifact_digest,
    over_frames: bool = False,
) -> grpc.GenericRpcHandler:
    """Serve each stream with `serve`, from a process that says that it loaded `loaded()`.

    `over_frames`: it also says that it serves frames.
    """

    async def named(requests: AsyncIterator[bytes], context: Context) -> None:
        await context.send_initial_metadata(((LOADED_DIGEST_KEY, loaded()),))
        await serve(requests, context)

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(named)
    ready: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_ready)
    metadata: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        partial(_metadata, over_frames=over_frames)
    )
    return grpc.method_handlers_generic_handler(
        "inference.GRPCInferenceService",
        {"ModelStreamInfer": method, "ModelReady": ready, "ModelMetadata": metadata},
    )


async def _ready(_request: bytes, _context: Context) -> bytes:
    return oip.ModelReadyResponse(ready=True).SerializeToString()


async def _metadata(request: bytes, _context: Context, *, over_frames: bool) -> bytes:
    number = int(oip.ModelMetadataRequest.FromString(request).version)
    properties = {LOADED_DIGEST_PROPERTY: spec(number).artifact_digest}
    if over_frames:
        properties[FRAMES_PROPERTY] = str(VERSION)
    return oip.ModelMetadataResponse(properties=properties).SerializeToString()
