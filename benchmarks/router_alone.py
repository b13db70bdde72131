"""A router's service without its peers: store and scorers are values, and the log is a queue."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.model import ENTITY, MODEL
from benchmarks.request_path import CHALLENGER, CHAMPION, deployment_of
from router.app import service_limits
from router.books.request_log import RequestLines, RequestLogLines
from router.decisions.hop import Hop
from router.edge.answers import ProtobufResponder
from router.edge.service import ScoringService
from router.pipeline import PipelinePorts, open_pipeline
from router.ports import Clocks, ClosableScorer, Inferred
from router.settings import RouterSettings
from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView
from understudy.domain.snapshots import ScorerProcess, ScorerState, Snapshot, VersionSpec
from understudy.domain.versions import DYNAMIC, ScoreOutput, TensorSpec, VersionRef
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.ports import ViewRead
from understudy.logs.log_queue import LogQueue
from understudy.logs.offered_rows import CountsInMemory

_WIDTH = 200
_PATIENT_S = 60.0
_MOST_QUEUED_ROWS = 20_000
_VIEW = FeatureView(
    name="user",
    version=1,
    entity=ENTITY,
    features=tuple(Feature(f"f{at}", FeatureDtype.FLOAT32, default=0.0) for at in range(_WIDTH)),
)


@asynccontextmanager
async def open_service(folder: Path) -> AsyncIterator[ScoringService]:
    """Serve a deployment of two arms with 200 features. `folder` stays empty."""
    settings = RouterSettings(
        features="lmdb:unused",
        log_dir=folder,
        log_ids="unkeyed",
        state_dir=folder,
        # A machine with other work must not send calls down the ladder.
        feature_slow_s=_PATIENT_S,
        scorer_timeout_s=_PATIENT_S,
        wanted_queue_s=_PATIENT_S,
    )
    queue = _Queue()
    async with asyncio.TaskGroup() as tasks:
        ports = PipelinePorts(
            store=_Store(),
            log=queue.offer,
            log_together=queue.offer_together,
            request_log=RequestLogLines(RequestLines.OFF, 0),
            responder=ProtobufResponder(),
            open_scorer=_open_scorer,
            clocks=Clocks(time.monotonic, lambda: time.time_ns() / 1e9),
            cpu_s=time.thread_time,
        )
        pipeline = open_pipeline(settings, ports, tasks)
        await pipeline.models.apply(_snapshot())
        yield ScoringService(pipeline, service_limits(settings))
        pipeline.models.close(mirrors_within_s=1.0)


def _open_scorer(address: str, _host_id: str | None) -> ClosableScorer:
    return _Scorer(address)


def _snapshot() -> Snapshot:
    numbers = (CHAMPION, CHALLENGER)
    return Snapshot(
        "a benchmark",
        1,
        (deployment_of(1),),
        tuple(_spec(number) for number in numbers),
        tuple(
            ScorerProcess(
                ref=VersionRef(MODEL, number),
                replica=0,
                address=f"scorer-{number}",
                state=ScorerState.READY,
                artifact_digest="",
                host_id="h",
                pid=1,
            )
            for number in numbers
        ),
    )


def _spec(number: int) -> VersionSpec:
    return VersionSpec(
        ref=VersionRef(MODEL, number),
        artifact_digest=f"{number:064x}",
        files=(),
        provenance_digest="0" * 64,
        inputs=(TensorSpec("x", "FP32", (DYNAMIC, _WIDTH)),),
        outputs=(TensorSpec("score", "FP32", (DYNAMIC, 1)),),
        feature_set=tuple(FeatureRef(_VIEW.name, 1, each.name) for each in _VIEW.features),
        feature_views=(_VIEW,),
        score_output=ScoreOutput("score"),
        golden_tolerance=1e-4,
    )


class _Store:
    """Every entity has the same record; it comes with the loop's next turn."""

    def __init__(self) -> None:
        values = {feature.name: 0.5 for feature in _VIEW.features}
        event_time_ms = time.time_ns() // 1_000_000
        self._record = pack_record(record_format(_VIEW), values, event_time_ms=event_time_ms)

    async def read(
        self, reads: Sequence[ViewRead], *, timeout_s: float
    ) -> list[list[bytes | None]]:
        del timeout_s
        await asyncio.sleep(0)
        return [[self._record] * len(read.entity_ids) for read in reads]

    async def ping(self, *, timeout_s: float) -> None:
        del timeout_s

    async def close(self) -> None: ...


class _Scorer:
    """Answers each batch with the loop's next turn."""

    hop = Hop.GRPC

    def __init__(self, address: str) -> None:
        self.address = address

    async def infer(
        self, spec: VersionSpec, tensors: Sequence[NDArray[np.generic]], **_options: Any
    ) -> Inferred:
        await asyncio.sleep(0)
        return Inferred(np.full(len(tensors[0]), spec.ref.number / 10), {})

    async def require_ready(self, *_asked: Any, **_options: Any) -> None: ...

    async def close(self) -> None: ...


class _Queue(LogQueue):
    """The log's queue, which nothing writes: what is in it is forgotten at a quarter of its bounds."""

    def __init__(self) -> None:
        super().__init__(_MOST_QUEUED_ROWS, 1 << 30, self._forget, CountsInMemory("a benchmark"))

    def _forget(self) -> None:
        for taken in self.take():
            self.release(taken.batch.rows, taken.batch.size_bytes)
