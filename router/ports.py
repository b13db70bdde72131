"""What the request path needs of the world, beside the feature store of `understudy.features.ports`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from understudy.domain.deployments import DegradationLevel
from understudy.domain.errors import UnavailableError
from understudy.domain.snapshots import VersionSpec


@dataclass(frozen=True, slots=True)
class Clocks:
    monotonic_s: Callable[[], float]
    utc_s: Callable[[], float]  # seconds since 1970; ages of features, times of logs


class DrillState(Protocol):
    """Whether a drill makes this router answer from a lower level, on purpose."""

    @property
    def is_on(self) -> bool:
        """Whether one was started and nobody has found its end yet; False nearly always."""
        ...

    def level(self) -> DegradationLevel:
        """Return the level to answer from at best: FULL when there is no drill."""
        ...


class ScorerHungError(UnavailableError):
    """The scorer had all the time that a scorer gets, and did not answer."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a scorer answered for a batch of n rows."""

    scores: NDArray[np.float64]  # (n,)
    outputs: Mapping[str, NDArray[np.generic]]  # (n, ...) by name: those asked for


class Scorer(Protocol):
    """One scorer process. Errors: UnavailableError, DeadlinePassedError, InvalidInputError."""

    @property
    def address(self) -> str: ...

    async def infer(
        self,
        spec: VersionSpec,
        tensors: Sequence[NDArray[np.generic]],
        *,
        timeout_s: float,
        outputs: Sequence[str] = (),
    ) -> Inferred:
        """Score a batch.

        Args:
            spec: the version that the process serves.
            tensors: in the order of `spec.inputs`, each of n rows.
            timeout_s: how long the answer is worth waiting for.
            outputs: names of outputs to return beside the score.
        """
        ...


class ClosableScorer(Scorer, Protocol):
    """A scorer as whoever opened it sees it."""

    async def close(self) -> None: ...
