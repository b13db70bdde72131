"""A scorer's service in the test's own process, over real gRPC."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from scorer.decisions.run_place import RunPlace
from scorer.server.batcher import Batcher, BatchLimits, Runner
from scorer.server.coming_calls import ComingCalls
from scorer.server.frames_server import FramesServer, serving_frames
from scorer.server.load_model import LoadedModel, load_model
from scorer.server.metrics import ScorerMetrics
from scorer.server.request_reader import RequestLimits, RequestReader
from scorer.server.served_model import ServedModel
from scorer.server.service import SERVICE, InferenceService
from scorer.server.spans import RequestSpans
from tests.artifact.checked import CHECKS
from understudy.artifact.expectation import Expectation
from understudy.domain.versions import VersionRef
from understudy.inference.reflection import add_reflection
from understudy.oip import inference_pb2 as pb
from understudy.runtime.front.grpc_server import open_server, started
from understudy.runtime.open_requests import OpenLimits
from understudy.runtime.open_streams import StreamLimits
from understudy.runtime.serving import add_health
from understudy.runtime.transport.transport import LOCAL

REF = VersionRef("doubler", 1)
OPTIONS = replace(CHECKS, warm_rows=8)
INLINE_S = 60.0  # with this, every run is on the loop, however busy the machine is
IN_WORKER_S = -1.0  # `inline_run_s` with which every run leaves the loop
OPEN = OpenLimits(most_messages=256, most_bytes=16 << 20)
STREAMS = StreamLimits(100, 100, OPEN, most_bytes_per_caller=1 << 30)
LIMITS = BatchLimits(max_batch_rows=64, max_queue_rows=256, gather_s=0.002, enough_rows=32)


def load(source: Path, expected: Expectation | None = None) -> LoadedModel:
    return load_model(source, REF, expected or Expectation(), OPTIONS, RunPlace(INLINE_S))


class Served:
    """The service with the objects that tests inspect."""

    def __init__(self, channel: grpc.aio.Channel, service: InferenceService) -> None:
        self.channel = channel
        self.service = service
        self.metrics = ScorerMetrics()
        self.frames: FramesServer | None = None  # once the model is loaded
        self.frames_path = Path()

    def call(self, rpc: str, request: Any, **options: Any) -> Any:
        response = getattr(pb, f"{rpc}Response")
        return self.channel.unary_unary(
            f"/{SERVICE}/{rpc}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )(request, **options)

    def send(self, raw: bytes) -> Any:
        """Send bytes that need not be a valid message."""
        call: Any = self.channel.unary_unary(
            f"/{SERVICE}/ModelInfer", response_deserializer=pb.ModelInferResponse.FromString
        )
        return call(raw)

    def stream(self, **options: Any) -> Any:
        """Open ModelStreamInfer: bytes or messages in, messages out."""
        return self.channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=_bytes_of,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )(**options)

    def counted(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(f"understudy_scorer_{name}", labels)
        return value or 0.0


def _bytes_of(request: Any) -> bytes:
    """Return a message serialised, and bytes (which need not be a message) unchanged."""
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


@asynccontextmanager
async def open_service(
    source: Path,
    folder: Path,
    *,
    limits: BatchLimits = LIMITS,
    max_request_rows: int = 128,
    refuse_non_finite: bool = False,
    runner: Runner | None = None,
    inline_run_s: float = INLINE_S,
    ready: bool = True,
    streams: StreamLimits = STREAMS,
    spans: RequestSpans | None = None,
) -> AsyncIterator[Served]:
    """Serve the model at `source` as doubler@1; `runner` replaces the model."""
    async with AsyncExitStack() as resources:
        server = await resources.enter_async_context(open_server())
        metrics = ScorerMetrics()
        coming = ComingCalls()
        is_ready = [ready]
        service = InferenceService(REF, coming, metrics, lambda: is_ready[0], streams, spans)
        server.add_generic_rpc_handlers((service,))
        add_health(server, (SERVICE,))
        add_reflection(server)
        address = f"unix:{folder}/t.sock"
        LOCAL.bind(server, address)
        loaded = load(source)
        batcher = Batcher(
            runner or loaded.model,
            limits,
            observer=metrics,
            coming=coming,
            place=RunPlace(inline_run_s),
        )
        if ready:
            reader = RequestReader(
                loaded.signature, RequestLimits(max_request_rows, refuse_non_finite)
            )
            model = ServedModel(loaded.signature, loaded.artifact_digest, reader, batcher)
            service.serve(model, over_frames=True)
        resources.push_async_callback(batcher.close)
        await resources.enter_async_context(started(server))
        channel = await resources.enter_async_context(grpc.aio.insecure_channel(address))
        served = Served(channel, service)
        served.metrics = metrics
        if ready:
            served.frames = FramesServer(
                service.answer_message,
                loaded.artifact_digest,
                most_connections=streams.most,
                open_requests=OPEN,
            )
            served.frames_path = folder / "t.frames.sock"
            await resources.enter_async_context(serving_frames(served.frames_path, served.frames))
        yield served


def infer_request(
    array: NDArray[Any], *, name: str = "X", outputs: Sequence[str] = (), request_id: str = ""
) -> pb.ModelInferRequest:
    """Return a raw FP32 request to the doubling model."""
    request = pb.ModelInferRequest(model_name="doubler", id=request_id)
    request.inputs.add(name=name, datatype="FP32", shape=array.shape)
    request.raw_input_contents.append(np.ascontiguousarray(array, np.float32).tobytes())
    for output in outputs:
        request.outputs.add(name=output)
    return request


def array_of(response: pb.ModelInferResponse, at: int = 0) -> NDArray[Any]:
    tensor = response.outputs[at]
    flat = np.frombuffer(response.raw_output_contents[at], np.float32)
    return flat.reshape(tuple(tensor.shape))
