"""The `Scorer` port over frames: the messages of the inference protocol, over a local socket.

One connection carries all requests of a router's worker to a scorer. Before its first one it says which
artifact its process loaded, as a stream of gRPC does. The scorer says in ModelMetadata that it serves frames,
when it is first asked; where there are none, or none any more, requests go over gRPC.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from router.adapters.frames_connection import FramesConnection
from router.adapters.oip_messages import (
    NotTakenError,
    RequestEncoder,
    call_fields,
    other_artifact,
    scores_of,
)
from router.adapters.oip_scorer import OipScorer
from router.adapters.time_limit import TimeLimit
from router.decisions.hop import Hop
from router.ports import Inferred
from understudy.domain.errors import (
    CorruptedError,
    DeadlinePassedError,
    UnavailableError,
)
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.domain.versions import VersionRef
from understudy.inference.frames import FRAMES_PROPERTY, VERSION, frame
from understudy.oip import inference_pb2 as oip
from understudy.runtime.transport.local_connections import connect_to

_GREETING_SHARE = 0.25  # of a request's time, for a connection; the rest is left for gRPC
_SILENCE_S = 1.0  # without another try, after a process that accepted and said nothing
_log = structlog.get_logger()


class NoFramesError(UnavailableError):
    """No connection for frames could be made, so nothing was sent."""


class FramesScorer:
    """One scorer process over a connection of its own, which the opener must close."""

    def __init__(self, over_grpc: OipScorer, path: Path) -> None:
        """`path`: the socket of its frames. Closes `over_grpc` with itself."""
        self.address = over_grpc.address
        self._over_grpc = over_grpc
        self._path = path
        self._serves_frames = False
        self._noted: Hop | None = None  # not asked yet
        self._connection: FramesConnection | None = None
        self._one_connects = asyncio.Lock()
        self._silent_until_s = 0.0  # on the loop's clock
        self._encoder = RequestEncoder()
        self._numbers = count()

    @property
    def hop(self) -> Hop:
        return self._noted or Hop.GRPC

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
        if self._serves_frames:
            request_id = str(next(self._numbers))
            of_call = call_fields(request_id, timeout_s, trace)
            request = frame(*self._encoder.encode(spec, tensors, outputs, of_call))
            with suppress(NoFramesError):
                answer = await self._ask_in_time(request_id, request, spec, timeout_s)
                return scores_of(answer, spec, tensors, outputs, address=self.address)
        return await self._over_grpc.infer(
            spec, tensors, timeout_s=timeout_s, outputs=outputs, trace=trace
        )

    async def require_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> None:
        told = await self._over_grpc.ask_ready(ref, artifact_digest, timeout_s=timeout_s)
        self._serves_frames = told.get(FRAMES_PROPERTY) == str(VERSION)
        self._note(Hop.FRAMES if self._serves_frames else Hop.GRPC, "it serves no frames")

    async def close(self) -> None:
        self._serves_frames = False
        if self._connection is not None:
            self._connection.close()
        await self._over_grpc.close()

    async def _ask_in_time(
        self, request_id: str, request: bytes, spec: VersionSpec, timeout_s: float
    ) -> oip.ModelStreamInferResponse:
        try:
            async with TimeLimit(timeout_s):
                return await self._ask(request_id, request, spec, timeout_s * _GREETING_SHARE)
        except TimeoutError as error:
            raise DeadlinePassedError("the scorer answered") from error

    async def _ask(
        self, request_id: str, request: bytes, spec: VersionSpec, connects_s: float
    ) -> oip.ModelStreamInferResponse:
        """Return the answer to a request in its frame.

        Raises:
            NoFramesError: no connection could be made within `connects_s`, or a moment ago.
            OtherArtifactError: the process at the address did not load the artifact of `spec`.
            UnavailableError: the connection has ended without an answer.
            CorruptedError: the answer does not match the request.
        """
        kept = self._kept(spec)
        if kept is not None:
            with suppress(NotTakenError):  # it ended while idle; its scorer may be back
                return await kept.ask(request_id, request)
        async with self._one_connects:
            opened = self._kept(spec) or await self._connect_in_time(spec, connects_s)
        return await opened.ask(request_id, request)

    def _kept(self, spec: VersionSpec) -> FramesConnection | None:
        kept = self._connection
        if kept is None or not kept.is_open or kept.proven != spec.artifact_digest:
            return None
        return kept

    async def _connect_in_time(self, spec: VersionSpec, connects_s: float) -> FramesConnection:
        loop = asyncio.get_running_loop()
        why = "it accepts connections and says nothing"
        if loop.time() < self._silent_until_s:
            raise NoFramesError(f"scorer {self.address}", why)
        try:
            async with TimeLimit(connects_s):
                return await self._connect(spec)
        except TimeoutError as error:
            self._silent_until_s = loop.time() + _SILENCE_S
            self._note(Hop.GRPC, why)
            raise NoFramesError(f"scorer {self.address}", why) from error

    async def _connect(self, spec: VersionSpec) -> FramesConnection:
        """Return a connection to a process that has said that it loaded the artifact of `spec`."""
        try:
            opened = await connect_to(self._path, lambda: FramesConnection(self.address))
        except UnavailableError as error:
            self._note(Hop.GRPC, str(error))
            raise NoFramesError(error.dependency, error.why) from error
        try:
            loaded = await opened.loaded()
        except (CorruptedError, UnavailableError) as error:
            self._note(Hop.GRPC, str(error))
            raise NoFramesError(f"scorer {self.address}", str(error)) from error
        except asyncio.CancelledError:
            opened.close()
            raise
        if loaded != spec.artifact_digest:
            opened.close()
            raise other_artifact(self.address, spec.ref, loaded, spec.artifact_digest)
        if self._connection is not None:
            self._connection.replace()  # of a version that was at this address before
        self._connection = opened
        self._note(Hop.FRAMES)
        return opened

    def _note(self, hop: Hop, why: str = "") -> None:
        """Record the hop of the next requests; log the first one and each change, with the reason for gRPC."""
        if hop is self._noted:
            return
        self._noted = hop
        if hop is Hop.FRAMES:
            _log.info("scorer_asked_over_frames", address=self.address)
        else:
            _log.warning("scorer_asked_over_grpc", address=self.address, why=why)
