"""The ports of the request path, besides the feature store of `understudy.features.ports`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router.decisions.hop import Hop
from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import CorruptedError, UnavailableError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.domain.versions import VersionRef


@dataclass(frozen=True, slots=True)
class Clocks:
    monotonic_s: Callable[[], float]
    utc_s: Callable[[], float]  # seconds since 1970; for ages of features and times in logs


class DrillState(Protocol):
    """A drill that may make this router answer from a lower level, on purpose."""

    @property
    def is_on(self) -> bool:
        """Return whether a drill was started and its end not yet noticed; False nearly always."""
        ...

    def level(self) -> DegradationLevel:
        """Return the highest level to answer from: FULL if there is no drill."""
        ...


class ScorerHungError(UnavailableError):
    """The scorer had all the time that a scorer may have, and did not answer."""


class OtherArtifactError(CorruptedError):
    """The process loaded another artifact than the registered one. It received no features."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A scorer's answer for a batch of n rows."""

    scores: NDArray[np.float64]  # (n,)
    outputs: Mapping[str, NDArray[np.generic]]  # (n, ...) by name: the requested ones


class Scorer(Protocol):
    """One scorer process. Errors: UnavailableError, DeadlinePassedError, InvalidInputError."""

    @property
    def address(self) -> str: ...

    @property
    def hop(self) -> Hop:
        """The way of its batches, at present."""
        ...

    async def infer(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        *,
        timeout_s: float,
        outputs: Sequence[str] = (),
        trace: TraceContext | None = None,
    ) -> Inferred:
        """Score a batch.

        Args:
            spec: the version that the process serves.
            tensors: in the order of `spec.inputs`, each of n rows.
            timeout_s: limit on waiting for the answer.
            outputs: names of outputs to return besides the score.
            trace: of a caller, for the scorer's own span; None if no caller sent one.

        Raises:
            OtherArtifactError: the process that listens there now did not load the version's artifact.
        """
        ...


class ClosableScorer(Scorer, Protocol):
    """A scorer as seen by its opener."""

    async def require_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> None:
        """Return once the process has answered that it serves `ref`, and from this artifact.

        Raises:
            UnavailableError: it did not answer within `timeout_s`, is not ready, or serves another
                version.
            OtherArtifactError: it loaded another artifact, or does not say which.
        """
        ...

    async def close(self) -> None: ...
