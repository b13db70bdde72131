"""The `Scorer` port over the Open Inference Protocol: one request with raw tensors per batch.

Requests go over streams (ModelStreamInfer) that are kept for later ones: in gRPC a message of an
open stream takes about half the time of a call (ADR 16). A stream carries one request at a time, so
giving up a request cancels its stream without affecting others.

Each new stream says which artifact its process loaded, before it gets a request: after a lost
connection, another process may listen at the address. That costs a round trip per stream, not per
request.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from router.adapters.oip_messages import (
    NotTakenError,
    RequestEncoder,
    call_fields,
    other_artifact,
    read_answer,
    scores_of,
)
from router.adapters.time_limit import TimeLimit
from router.decisions.hop import Hop
from router.ports import Inferred
from understudy.artifact.digests import LOADED_DIGEST_KEY, LOADED_DIGEST_PROPERTY
from understudy.domain.errors import (
    CorruptedError,
    DeadlinePassedError,
    UnavailableError,
)
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.domain.versions import VersionRef
from understudy.oip import inference_pb2 as oip
from understudy.runtime.front.grpc_server import MAX_MESSAGE_BYTES
from understudy.runtime.transport.transport import LOCAL, Transport

AnswerT = TypeVar("AnswerT", bound=Message)

_MODEL_STREAM_INFER = "/inference.GRPCInferenceService/ModelStreamInfer"
_MODEL_READY = "/inference.GRPCInferenceService/ModelReady"
_MODEL_METADATA = "/inference.GRPCInferenceService/ModelMetadata"
_CHANNEL_OPTIONS = (
    ("grpc.enable_channelz", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
_MOST_KEPT_STREAMS = 8  # idle ones; there is another one for each request in flight

_Stream = grpc.aio.StreamStreamCall[bytes, bytes]


class OipScorer:
    """One scorer process over its own channel, which the opener must close."""

    hop = Hop.GRPC

    def __init__(
        self, address: str, host_id: str | None = None, transport: Transport = LOCAL
    ) -> None:
        """Open the channel.

        `host_id`: the scorer host that its certificate must name; None for the host in `address`.

        Raises:
            InvalidInputError: see `Transport.open_channel`.
        """
        self.address = address
        self._channel = transport.open_channel(
            address, _CHANNEL_OPTIONS, named="scorer", proves=host_id
        )
        # No (de)serialisers: the request is joined from a prepared head and the raw tensors.
        self._open: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(
            _MODEL_STREAM_INFER
        )
        # Open, without a request; each with the digest of the artifact that its process loaded.
        self._kept: list[tuple[_Stream, str]] = []
        self._encoder = RequestEncoder()
        self._numbers = count()

    async def infer(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        *,
        timeout_s: float,
        outputs: Sequence[str] = (),
        trace: TraceContext | None = None,
    ) -> Inferred:
        if timeout_s <= 0:
            raise DeadlinePassedError("scoring")
        request_id = str(next(self._numbers))
        of_call = call_fields(request_id, timeout_s, trace)
        request = b"".join(self._encoder.encode(spec, tensors, outputs, of_call))
        try:
            async with TimeLimit(timeout_s):
                stream, received = await self._ask(request, spec)
        except TimeoutError as error:
            raise DeadlinePassedError("the scorer answered") from error
        answer = read_answer(received)
        if answer is None or answer.infer_response.id != request_id:
            stream.cancel()  # later answers on it would not match either
            raise CorruptedError(f"answer of {self.address} does not match its request")
        self._keep(stream, spec.artifact_digest)
        return scores_of(answer, spec, tensors, outputs, address=self.address)

    async def require_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> None:
        await self.ask_ready(ref, artifact_digest, timeout_s=timeout_s)

    async def ask_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> Mapping[str, str]:
        """Return the properties of the model, under the conditions of `require_ready`."""
        named = {"name": ref.model, "version": str(ref.number)}
        asked = oip.ModelReadyRequest(**named), oip.ModelMetadataRequest(**named)
        ready, metadata = await asyncio.gather(
            self._answer(_MODEL_READY, asked[0], oip.ModelReadyResponse, timeout_s),
            self._answer(_MODEL_METADATA, asked[1], oip.ModelMetadataResponse, timeout_s),
        )
        if not ready.ready:
            raise UnavailableError(f"scorer {self.address}", "it is not ready")
        loaded = metadata.properties.get(LOADED_DIGEST_PROPERTY, "no artifact")
        if loaded != artifact_digest:
            raise other_artifact(self.address, ref, loaded, artifact_digest)
        return metadata.properties

    async def _answer(
        self, rpc: str, request: Message, kind: type[AnswerT], timeout_s: float
    ) -> AnswerT:
        ask: grpc.aio.UnaryUnaryMultiCallable[Message, AnswerT] = self._channel.unary_unary(
            rpc,
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        try:
            return await ask(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name.lower()}: {error.details()}"
            raise UnavailableError(f"scorer {self.address}", why) from error
        except grpc.aio.UsageError as error:  # its channel was closed
            raise UnavailableError(f"scorer {self.address}", str(error)) from error

    async def close(self) -> None:
        """Close the channel; no request may be in flight, because one on a new stream would hang."""
        await self._channel.close()

    async def _ask(self, request: bytes, spec: VersionSpec) -> tuple[_Stream, bytes]:
        """Return the answer to `request` and its stream; a stream without an answer is given up.

        Raises:
            UnavailableError: the stream or its channel has ended without an answer.
            OtherArtifactError: the process at the address did not load the artifact of `spec`.
        """
        if (kept := self._take_kept(spec.artifact_digest)) is not None:
            with suppress(NotTakenError):  # it ended while idle; its scorer may be back
                return kept, await self._ask_on(kept, request)
        try:
            opened = self._open()
        except grpc.aio.UsageError as error:  # its channel was closed
            raise UnavailableError(f"scorer {self.address}", str(error)) from error
        return opened, await self._ask_on(opened, request, proves=spec)

    async def _ask_on(
        self, stream: _Stream, request: bytes, *, proves: VersionSpec | None = None
    ) -> bytes:
        """Return the answer.

        Args:
            stream: without a request.
            request: the message.
            proves: the version whose artifact a new stream must name before it gets the request.

        Raises:
            OtherArtifactError: it names another one, or none.
            NotTakenError: it could not be sent, or the scorer ended the stream with OK, which
                it does only after answering the requests it has read.
            UnavailableError: there is no answer, and the scorer may have run the request.
        """
        is_sent = False
        try:
            if proves is not None:
                await self._require_loaded(stream, proves)
            await stream.write(request)
            is_sent = True
            answer = await stream.read()
        except grpc.aio.AioRpcError as error:
            kind = UnavailableError if is_sent else NotTakenError
            raise kind(f"scorer {self.address}", error.code().name.lower()) from error
        except asyncio.InvalidStateError as error:  # the stream has just ended
            raise NotTakenError(f"scorer {self.address}", str(error)) from error
        except asyncio.CancelledError:
            stream.cancel()
            # gRPC cancels the awaiting task when a channel is closed. Only a cancellation of our
            # own task may end it; any other one means that the scorer has gone.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise UnavailableError(f"scorer {self.address}", "its channel was closed") from None
        if not isinstance(answer, bytes):  # the end of the stream
            raise NotTakenError(f"scorer {self.address}", "it has ended the stream")
        return answer

    async def _require_loaded(self, stream: _Stream, spec: VersionSpec) -> None:
        """Return once the process behind a new stream has said that it loaded the artifact of `spec`.

        A stream that has ended says nothing, and fails at the next step for its own reason.

        Raises:
            OtherArtifactError: it names another artifact, or none.
        """
        said = dict(await stream.initial_metadata())
        loaded = str(said.get(LOADED_DIGEST_KEY, "no artifact"))
        if loaded != spec.artifact_digest and not stream.done():
            stream.cancel()
            raise other_artifact(self.address, spec.ref, loaded, spec.artifact_digest)

    def _take_kept(self, artifact_digest: str) -> _Stream | None:
        while self._kept:
            stream, loaded = self._kept.pop()
            if not stream.done() and loaded == artifact_digest:
                return stream
            stream.cancel()  # of a version that was at this address before
        return None

    def _keep(self, stream: _Stream, loaded: str) -> None:
        if len(self._kept) < _MOST_KEPT_STREAMS:
            self._kept.append((stream, loaded))
        else:
            stream.cancel()
