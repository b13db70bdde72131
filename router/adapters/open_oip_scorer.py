"""The scorers that a router may reach: one that it may not answers nothing, and says why."""

# ruff: noqa: ARG002 - a forbidden scorer answers alike, whatever it is asked

from collections.abc import Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from router.adapters.frames_scorer import FramesScorer
from router.adapters.oip_scorer import OipScorer
from router.decisions.hop import Hop
from router.ports import ClosableScorer, Inferred
from understudy.domain.errors import InvalidInputError, UnavailableError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.domain.versions import VersionRef
from understudy.inference.frames import frames_path
from understudy.runtime.transport.sockets import socket_of
from understudy.runtime.transport.transport import Transport

_log = structlog.get_logger()


def open_oip_scorer(
    address: str, host_id: str | None, transport: Transport, hop: Hop = Hop.GRPC
) -> ClosableScorer:
    """Return the scorer at `address`; one that is never ready if `transport` forbids the address.

    Args:
        address: its gRPC target.
        host_id: the scorer host that reported it, which its certificate must name.
        transport: of this process.
        hop: FRAMES acts on scorers at sockets of this machine only.
    """
    try:
        over_grpc = OipScorer(address, host_id, transport)
    except InvalidInputError as error:
        _log.error("scorer_not_reached", why=str(error))
        return ForbiddenScorer(address, str(error))
    socket = socket_of(address)
    if hop is Hop.GRPC or socket is None:
        return over_grpc
    return FramesScorer(over_grpc, frames_path(socket))


class ForbiddenScorer:
    """A scorer to which no feature may be sent."""

    hop = Hop.GRPC

    def __init__(self, address: str, why: str) -> None:
        self.address = address
        self._why = why

    async def infer(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        *,
        timeout_s: float,
        outputs: Sequence[str] = (),
        trace: TraceContext | None = None,
    ) -> Inferred:
        raise self._error()

    async def require_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> None:
        raise self._error()

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _error(self) -> UnavailableError:
        return UnavailableError(f"scorer {self.address}", self._why)
