"""A scorer process under a test's control, with the router's adapter to it over either hop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from router.adapters.open_oip_scorer import open_oip_scorer
from router.decisions.hop import Hop
from router.ports import ClosableScorer, Scorer
from scorer.server.frames_server import FramesServer, serving_frames
from tests.router.samples import spec
from tests.router.scorer_stream import Context, serving_streams
from tests.virtual_time import skip
from understudy.domain.errors import DeadlinePassedError, UnavailableError
from understudy.inference.frames import frames_path
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.transport.transport import LOCAL

LONG_S = 60.0


class FakeProcess:
    """Answers each request as told. Its requests are answered side by side on either hop."""

    def __init__(self) -> None:
        self.loaded = spec(1).artifact_digest
        self.requests: list[oip.ModelInferRequest] = []
        self.answer = GOOD
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer_to(self, body: bytes) -> bytes:
        self.requests.append(oip.ModelInferRequest.FromString(body))
        answer = self.answer
        await self.may_answer.wait()
        return with_id_of(body, answer)


class Hopped:
    """A scorer over a hop, and its process, which may go and come back."""

    def __init__(self, hop: Hop, process: FakeProcess, folder: Path) -> None:
        self.hop = hop
        self.process = process
        self._socket = folder / "s.sock"
        self.scorer: ClosableScorer = open_oip_scorer(f"unix:{self._socket}", None, LOCAL, hop)
        self._running = AsyncExitStack()
        self.frames: FramesServer | None = None
        self.answer_to: Callable[[bytes], Awaitable[bytes]] = process.answer_to

    async def start(self, *, over_frames: bool = True) -> None:
        """Let the process listen."""
        over_frames = over_frames and self.hop is Hop.FRAMES
        server = await self._running.enter_async_context(open_server())
        handler = serving_streams(
            self._serve, loaded=lambda: self.process.loaded, over_frames=over_frames
        )
        server.add_generic_rpc_handlers((handler,))
        LOCAL.bind(server, f"unix:{self._socket}")
        await self._running.enter_async_context(started(server))
        if over_frames:
            self.frames = FramesServer(
                self._answer,
                self.process.loaded,
                most_connections=8,
                open_requests=OpenLimits(256, 16 << 20),
            )
            serving = serving_frames(frames_path(self._socket), self.frames)
            await self._running.enter_async_context(serving)
        if self.hop is Hop.GRPC:
            await self._until_noticed()

    async def stop(self) -> None:
        """End the process at once, with the requests in flight."""
        await self._running.aclose()

    async def prove(self, version: int = 1) -> None:
        """Ask the scorer whether it is ready, as a router does before the first request."""
        await self.scorer.require_ready(
            spec(version).ref, spec(version).artifact_digest, timeout_s=LONG_S
        )

    async def _until_noticed(self) -> None:
        """Return once gRPC has a connection to this start of the process, and not to a former one."""
        while True:
            try:
                return await self.prove()
            except UnavailableError:
                await asyncio.sleep(0)

    async def _answer(self, body: bytes) -> bytes:
        return await self.answer_to(body)

    async def _serve(self, requests: AsyncIterator[bytes], context: Context) -> None:
        async for body in requests:
            await context.write(await self.answer_to(body))


@asynccontextmanager
async def hopped(
    hop: Hop, folder: Path, process: FakeProcess | None = None
) -> AsyncIterator[Hopped]:
    """Yield a scorer that has been asked whether it is ready."""
    found = Hopped(hop, process or FakeProcess(), folder)
    try:
        await found.start()
        await found.prove()
        yield found
    finally:
        await found.scorer.close()
        await found.stop()


def with_id_of(request: bytes, answer: bytes) -> bytes:
    """Return the answer with the request's id; bytes that are not a message stay unchanged."""
    try:
        message = oip.ModelStreamInferResponse.FromString(answer)
    except DecodeError:
        return answer
    message.infer_response.id = oip.ModelInferRequest.FromString(request).id
    return message.SerializeToString()


def answer_of(values: list[float], *, name: str = "score", shape: list[int] | None = None) -> bytes:
    tensor = oip.ModelInferResponse.InferOutputTensor(
        name=name, datatype="FP32", shape=shape or [len(values), 1]
    )
    raw = np.array(values, np.float32).tobytes()
    return wrapped(oip.ModelInferResponse(outputs=[tensor], raw_output_contents=[raw]))


def wrapped(response: oip.ModelInferResponse) -> bytes:
    return oip.ModelStreamInferResponse(infer_response=response).SerializeToString()


def failure(status: grpc.StatusCode) -> bytes:
    told = oip.ModelStreamInferResponse(error_message="x: shape")
    told.infer_response.parameters["grpc_status"].int64_param = status.value[0]
    return told.SerializeToString()


GOOD = answer_of([0.25, 0.5, 0.75])


async def give_up_two(
    scorer: Scorer, tensors: Sequence[NDArray[np.float32]], requests: Sequence[object]
) -> None:
    """Give up a request at its time limit, and cancel one, once each is read; after one request."""
    late = asyncio.ensure_future(scorer.infer(spec(1), tensors, timeout_s=0.5))
    await until(lambda: len(requests) == 2)
    skip(0.5)
    with pytest.raises(DeadlinePassedError):
        await late
    hedged = asyncio.ensure_future(scorer.infer(spec(1), tensors, timeout_s=LONG_S))
    await until(lambda: len(requests) == 3)
    hedged.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hedged


async def until(holds: Callable[[], object]) -> None:
    """Let the loop turn until `holds()`, without any time passing."""
    while not holds():  # noqa: ASYNC110 - the code under test has no event for this
        await asyncio.sleep(0)
