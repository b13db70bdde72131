"""ModelStreamInfer under a test's control; every version of `spec` is ready, from its artifact."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import grpc

from scorer.server.frames_server import FramesServer, serving_frames
from tests.router.samples import spec
from understudy.artifact.digests import LOADED_DIGEST_KEY, LOADED_DIGEST_PROPERTY
from understudy.inference.frames import FRAMES_PROPERTY, VERSION, frames_path
from understudy.inference.infer_stream import AnswerRequest
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.transport.transport import LOCAL

Context = grpc.aio.ServicerContext[bytes, bytes]
Answers = Callable[[bytes], Awaitable[bytes]]


def answering_each(
    answers: Answers, *, version: int = 1, over_frames: bool = False
) -> grpc.GenericRpcHandler:
    """Serve streams of a version on which `answers` is called for each request, one by one.

    `over_frames`: as in `serving_streams`.
    """

    async def serve(requests: AsyncIterator[bytes], context: Context) -> None:
        async for body in requests:
            await context.write(await answers(body))

    return serving_streams(
        serve, loaded=lambda: spec(version).artifact_digest, over_frames=over_frames
    )


@asynccontextmanager
async def serving_version(
    version: int, answers: Answers, framed_answers: AnswerRequest, *, socket: Path | None
) -> AsyncIterator[str]:
    """Serve streams of a version, and frames too at a socket; yield the address.

    `socket`: None for a port.
    """
    async with AsyncExitStack() as resources:
        server = await resources.enter_async_context(open_server())
        handler = answering_each(answers, version=version, over_frames=socket is not None)
        server.add_generic_rpc_handlers((handler,))
        if socket is None:
            address = f"127.0.0.1:{LOCAL.bind(server, '127.0.0.1:0')}"
        else:
            address = f"unix:{socket}"
            LOCAL.bind(server, address)
            frames = FramesServer(
                framed_answers,
                spec(version).artifact_digest,
                most_connections=64,
                open_requests=OpenLimits(256, 16 << 20),
            )
            await resources.enter_async_context(serving_frames(frames_path(socket), frames))
        await server.start()
        yield address


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
