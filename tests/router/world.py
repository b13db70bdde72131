"""A router without sockets: the real stages over a fake store and fake scorers, on the loop's clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Any

from router.admission.admit import Asked, AskedCandidates
from router.admission.candidates import CandidateChecks
from router.admission.gate import Gate
from router.books.counters import Counters
from router.books.request_log import RequestLines, RequestLogLines
from router.calls.call import Arrival, Call
from router.decisions.priority import Priority
from router.edge.answers import ProtobufResponder
from router.pipeline import Pipeline, PipelinePorts, open_pipeline
from router.ports import Clocks
from router.revision.live_model import LiveModel
from router.revision.live_models import LiveModels
from router.revision.open_scorers import OpenScorer
from router.settings import RouterSettings
from tests.router.fakes import FakeScorer, FakeStore
from tests.router.samples import MODEL, UTC_S, VIEW, deployment, ready_processes, spec
from understudy.domain.deployments import Challenger, Deployment
from understudy.domain.snapshots import Snapshot, VersionSpec
from understudy.domain.spans import SpanSink
from understudy.domain.trace_context import TraceContext
from understudy.features.ports import FeatureStore
from understudy.logs.batches import LogBatch, ScoreBatchLog, ShadowBatchLog
from understudy.scoring.v1 import scoring_pb2 as pb

_POLL_S = 0.001
_LIMIT_S = 120.0  # for everything that a test does in a world
_SETTINGS: dict[str, Any] = {
    "features": "lmdb:unused",  # replaced by a fake store, and nothing is written
    "log_dir": Path("unused"),
    "log_ids": "unkeyed",
    "state_dir": Path("unused"),
    "least_outstanding_rows": 10,
    "most_outstanding_rows": 1000,
    "wanted_queue_s": 0.5,
    "most_batch_rows": 64,
    "most_candidates": 1000,
    "most_gather_s": 0.002,
    "feature_slow_s": 1.0,
    "feature_trip_after": 2,
    "scorer_trip_after": 2,
    "cool_down_s": 0.01,
    "termination_s": 3600.0,  # above any cool-down that a test asks for
    "mirror_queue_rows": 1000,
    "mirror_batch_rows": 64,
}


@dataclass
class World:
    """Everything that a test may use."""

    pipeline: Pipeline
    store: FakeStore
    scorers: dict[str, FakeScorer]
    logged: list[LogBatch]
    sequence: int = 0

    @property
    def models(self) -> LiveModels:
        return self.pipeline.models

    @property
    def counters(self) -> Counters:
        return self.pipeline.counters

    @property
    def gate(self) -> Gate:
        return self.pipeline.gate

    async def deploy(
        self, *deployments: Deployment, ready: dict[int, list[str]], specs: Sequence[VersionSpec]
    ) -> None:
        """Apply a snapshot: `ready` gives the addresses of each version's ready scorers."""
        self.sequence += 1
        await self.models.apply(
            Snapshot("a test", self.sequence, deployments, tuple(specs), ready_processes(ready))
        )

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def live(self) -> LiveModel:
        return self.models.live[MODEL]

    def submit(
        self, entity_id: str, *, remaining_s: float = 5.0, waited_s: float = 0.0, **asked: Any
    ) -> Call:
        """Make a call that arrived `waited_s` ago, with `remaining_s` at that time."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        trace = asked.pop("trace", None)
        call = self.pipeline.admission.admit(
            Asked(
                model=MODEL,
                request_id=asked.pop("request_id", f"r-{entity_id}"),
                unit_key=asked.pop("unit_key", None),
                entities={"user": entity_id, **asked.pop("other_entities", {})},
                features=asked.pop("features", {}),
                **asked,
            ),
            Arrival(
                answer,
                Priority.LIVE,
                self.now_s() - waited_s,
                remaining_s,
                trace=trace,
            ),
        )
        call.live.submit(call)
        return call

    async def score(self, entity_id: str, **asked: Any) -> pb.ScoreResponse:
        answer = await awaited(self.submit(entity_id, **asked))
        await asyncio.sleep(0)  # answers are counted once the caller has its own
        return pb.ScoreResponse.FromString(answer)

    async def score_together(
        self, address: str, *submits: Callable[[], Call], first: str = "u0"
    ) -> list[pb.ScoreResponse]:
        """Make the calls while the scorer is busy with `first`, so that they form one batch."""
        scorer = self.scorers[address]
        scorer.entered.clear()
        scorer.release = asyncio.Event()
        busy_with = self.submit(first)
        await scorer.entered.wait()
        calls = [submit() for submit in submits]
        scorer.release.set()
        await awaited(busy_with)
        answers = [pb.ScoreResponse.FromString(await awaited(call)) for call in calls]
        await asyncio.sleep(0)  # answers are counted once the callers have them
        return answers

    async def score_batch(
        self,
        ids: Sequence[str],
        *,
        features: Sequence[Any] | None = None,
        top_k: int | None = None,
        is_sorted: bool = False,
        trace: TraceContext | None = None,
        **asked_for: Any,
    ) -> pb.ScoreBatchResponse:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        admission = self.pipeline.admission
        asked = Asked(MODEL, "b", "unit", entities={}, features={}, **asked_for)
        candidates = AskedCandidates(
            entity="user",
            count=len(ids),
            top_k=top_k,
            is_sorted=is_sorted,
        )
        live = admission.check_batch(asked, candidates)
        checks = CandidateChecks(live)
        for name, own in zip(ids, features or [{}] * len(ids), strict=True):
            checks.add(name, own)
        arrival = Arrival(answer, Priority.BATCH, self.now_s(), 5.0, trace=trace)
        call = admission.admit_batch(asked, live, checks.checked(candidates), arrival)
        call.live.submit(call)
        received = await answer
        await asyncio.sleep(0)  # answers are counted once the caller has its own
        return pb.ScoreBatchResponse.FromString(received)

    @property
    def score_logs(self) -> list[ScoreBatchLog]:
        return [batch for batch in self.logged if isinstance(batch, ScoreBatchLog)]

    @property
    def shadow_logs(self) -> list[ShadowBatchLog]:
        return [batch for batch in self.logged if isinstance(batch, ShadowBatchLog)]


def awaited(call: Call) -> asyncio.Future[bytes]:
    """Return the future that `World.submit` created for `call`."""
    assert isinstance(call.answer, asyncio.Future)
    return call.answer


@asynccontextmanager
async def open_world(
    *,
    read_from: FeatureStore | None = None,
    request_log: RequestLogLines | None = None,
    log: Callable[[LogBatch], bool] | None = None,
    open_scorer: OpenScorer | None = None,
    spans: SpanSink | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """Open a router whose scorers are created on first use, by address.

    Args:
        read_from: a real store to read features from, instead of the fake one.
        request_log: writes lines per request; by default there is none.
        log: receives logged batches, instead of the world's list.
        open_scorer: opens real scorers, instead of the fake ones.
        spans: receives the spans of sampled calls; by default none are made.
        settings: settings of the router that differ from `_SETTINGS`.
    """
    store = FakeStore()
    scorers: dict[str, FakeScorer] = {}
    logged: list[LogBatch] = []

    def keep(batch: LogBatch) -> bool:
        logged.append(batch)
        return True

    def open_fake(address: str, _host_id: str | None) -> FakeScorer:
        return scorers.setdefault(address, FakeScorer(address))

    ports = PipelinePorts(
        store=read_from or store,
        log=log or keep,
        log_together=lambda batches: sum(map(log or keep, batches)) == len(batches),
        request_log=request_log or RequestLogLines(RequestLines.OFF, 0),
        responder=ProtobufResponder(),
        open_scorer=open_scorer or open_fake,
        clocks=Clocks(monotonic_s=asyncio.get_running_loop().time, utc_s=lambda: UTC_S),
        cpu_s=thread_time,
        spans=spans,
    )
    async with asyncio.timeout(_LIMIT_S), asyncio.TaskGroup() as tasks:
        pipeline = open_pipeline(RouterSettings(**{**_SETTINGS, **settings}), ports, tasks)
        yield World(pipeline, store, scorers, logged)
        for scorer in scorers.values():
            if scorer.release is not None:
                scorer.release.set()
        pipeline.models.close(mirrors_within_s=_LIMIT_S)


async def until(holds: Callable[[], object]) -> None:
    """Let time pass until `holds()`; the limit of `open_world` ends a futile wait."""
    while not holds():  # noqa: ASYNC110 - the code under test has no event for this
        await asyncio.sleep(_POLL_S)


async def two_arms(world: World, **changes: object) -> None:
    for index in range(60):
        world.store.put(VIEW, f"u{index}", {"amount": float(index), "count": 1.0})
    await world.deploy(
        deployment(**{"challengers": (Challenger(2, 4_000),), **changes}),
        ready={1: ["one"], 2: ["two"], 3: ["three"]},
        specs=[spec(1), spec(2), spec(3)],
    )
