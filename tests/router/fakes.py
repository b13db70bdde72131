"""Fakes of the router's environment: a feature store, scorers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.decisions.hop import Hop
from router.ports import Inferred, OtherArtifactError
from tests.router.samples import UTC_S
from understudy.domain.errors import (
    DeadlinePassedError,
    InvalidInputError,
    UnavailableError,
)
from understudy.domain.features import FeatureView
from understudy.domain.snapshots import VersionSpec
from understudy.domain.trace_context import TraceContext
from understudy.domain.versions import VersionRef
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.ports import UNANSWERED, ViewRead


class FakeStore:
    """A `FeatureStore` in memory. `failing` makes every read unavailable."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], bytes] = {}
        self.failing = False
        self.reads: list[Sequence[ViewRead]] = []

    def put(self, view: FeatureView, entity_id: str, values: dict[str, Any]) -> None:
        form = record_format(view)
        self.records[(str(view), entity_id)] = pack_record(
            form, values, event_time_ms=round(UTC_S * 1000)
        )

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        if self.failing:
            raise UnavailableError("feature store", "told to fail")
        self.reads.append(reads)
        return [
            [self.records.get((str(read.view), each or "")) for each in read.entity_ids]
            for read in reads
        ]

    async def ping(self, *, timeout_s: float) -> None:
        if self.failing:
            raise UnavailableError("feature store", "told to fail")

    async def close(self) -> None: ...


class RemoteStore(FakeStore):
    """A store that may hang or leave keys unanswered."""

    def __init__(self) -> None:
        super().__init__()
        self.given_s: list[float] = []  # the time limit of each read
        self.hangs = False
        self.hanging_views: set[str] = set()  # views whose reads are not answered
        self.silent: set[str] = set()  # entities without an answer

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        self.given_s.append(timeout_s)
        if self.hangs or not self.hanging_views.isdisjoint(read.view.name for read in reads):
            await asyncio.sleep(timeout_s)
            raise UnavailableError("feature store", f"no answer within {timeout_s * 1000:.0f} ms")
        return [
            [
                UNANSWERED if name in self.silent else record
                for name, record in zip(read.entity_ids, answered, strict=True)
            ]
            for read, answered in zip(
                reads, await super().read(reads, timeout_s=timeout_s), strict=True
            )
        ]


class FakeScorer:
    """A `Scorer` whose score is the first column times 10 plus the version number / 1000."""

    hop = Hop.GRPC

    def __init__(self, address: str) -> None:
        self.address = address
        self.batches: list[int] = []
        self.traces: list[TraceContext | None] = []  # as `batches`, of those it was asked for
        self.received: Sequence[NDArray[np.generic]] = ()  # with the latest batch
        self.failing = False
        self.fails_after: int | None = None  # batches
        self.is_closed = False
        self.is_gone = False  # does not even answer that it is ready
        self.loaded: str | None = None  # digest of its artifact; None for the registered one
        self.asked = 0  # how often it was asked for that
        self.refuses: float | None = None  # refuses a batch with this in its first column
        self.answers_nan_for: float | None = None
        self.answers_inf_for: float | None = None
        self.entered = asyncio.Event()
        self.release: asyncio.Event | None = None  # if set, calls wait for it

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
        self._check_loaded(spec.artifact_digest)
        if unknown := set(outputs) - {output.name for output in spec.outputs}:
            raise InvalidInputError.of("outputs", read=unknown, accepted="outputs of this version")
        self.received = tensors
        self.traces.append(trace)
        await self._take_part(len(tensors[0]), timeout_s)
        first = tensors[0][:, 0].astype(np.float64)
        if self.refuses is not None and self.refuses in first:
            raise InvalidInputError.of("x", read=self.refuses, accepted="anything else")
        scores = first * 10 + spec.ref.number / 1000
        if self.answers_nan_for is not None:
            scores[first == self.answers_nan_for] = np.nan
        if self.answers_inf_for is not None:
            scores[first == self.answers_inf_for] = np.inf
        return Inferred(scores, {name: scores.reshape(-1, 1) for name in outputs})

    async def _take_part(self, rows: int, timeout_s: float) -> None:
        self.entered.set()
        self.batches.append(rows)
        if self.release is not None:
            try:
                await asyncio.wait_for(self.release.wait(), timeout_s)
            except TimeoutError:
                raise DeadlinePassedError("the scorer answered") from None
        if self.failing or (self.fails_after is not None and len(self.batches) >= self.fails_after):
            raise UnavailableError(f"scorer {self.address}", "told to fail")
        await asyncio.sleep(0)

    async def require_ready(
        self, ref: VersionRef, artifact_digest: str, *, timeout_s: float
    ) -> None:
        self.asked += 1
        self._check_loaded(artifact_digest)
        if self.is_gone:
            raise UnavailableError(f"scorer {self.address}", "told to be gone")

    def _check_loaded(self, artifact_digest: str) -> None:
        if self.loaded is not None and self.loaded != artifact_digest:
            raise OtherArtifactError(f"scorer {self.address} loaded {self.loaded}")

    async def close(self) -> None:
        self.is_closed = True
