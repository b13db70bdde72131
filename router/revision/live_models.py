"""The live models of a snapshot of the registry: changed ones are compiled, others kept."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass

import structlog

from router.batches.mirror import MirrorQueue
from router.batches.version_plan import VersionPlan
from router.decisions.breaker import BreakerPolicy
from router.decisions.effective import Effective, decide_effective
from router.lanes.guarded_scorer import GuardedScorer
from router.lanes.version_lane import VersionLane
from router.ports import ClosableScorer, DrillState
from router.revision.live_model import LiveModel, Shared
from understudy.domain.belief import with_deployments
from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.errors import UnderstudyError
from understudy.domain.snapshots import ScorerState, Snapshot, VersionSpec
from understudy.domain.versions import VersionRef
from understudy.features.serving.assembly import compile_plan

_TICK_S = 0.002
_log = structlog.get_logger()

MirrorKey = tuple[str, int]  # model, shadow version


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The inputs of a live model; equal inputs need no new one."""

    deployment: Deployment
    effective: Effective
    specs: tuple[VersionSpec, ...]
    addresses: tuple[tuple[int, tuple[str, ...]], ...]  # ready scorers by version


class LiveModels:
    """All models that this router serves now. Each is replaced as a whole, between batches.

    A replaced model answers the calls it has admitted, so a batch sees exactly one revision.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        open_scorer: Callable[[str], ClosableScorer],
        new_mirror: Callable[[], MirrorQueue],
        breaker: BreakerPolicy,
        tasks: asyncio.TaskGroup,
        drill: DrillState,
    ) -> None:
        self._shared = shared
        self._open_scorer = open_scorer
        self._new_mirror = new_mirror
        self._breaker = breaker
        self._tasks = tasks
        self._drill = drill
        self.live: dict[str, LiveModel] = {}  # by model name; only `apply` changes it
        self._inputs: dict[str, _Inputs] = {}
        self._retired: list[LiveModel] = []
        self._plans: dict[tuple[VersionRef, str], VersionPlan] = {}
        self._scorers: dict[str, tuple[ClosableScorer, GuardedScorer]] = {}
        self.mirrors: dict[MirrorKey, MirrorQueue] = {}
        self.lineage: str | None = None  # of the snapshot in use; None before the first one
        self.sequence: int | None = None

    def __iter__(self) -> Iterator[LiveModel]:
        return iter(self.live.values())

    async def apply(self, snapshot: Snapshot) -> Snapshot:
        """Serve the snapshot; return the state that acts.

        A deployment that cannot be compiled keeps its old model, and acts in its old revision.
        """
        specs = {spec.ref: spec for spec in snapshot.versions}
        ready = _ready_addresses(snapshot)
        not_applied: list[_Inputs] = []
        for deployment in snapshot.deployments:
            try:
                self._apply_one(deployment, specs, ready)
            except UnderstudyError as error:
                _log.error(
                    "revision_not_applied",
                    model=deployment.model,
                    revision=deployment.revision,
                    why=str(error),
                )
                not_applied += [self._inputs[n] for n in [deployment.model] if n in self._inputs]
        for gone in self.live.keys() - {each.model for each in snapshot.deployments}:
            self._retire(self.live.pop(gone))
            del self._inputs[gone]
        self.lineage, self.sequence = snapshot.lineage, snapshot.sequence
        self._forget_plans()
        await self._close_unused()
        return with_deployments(
            snapshot,
            [each.deployment for each in not_applied],
            versions=[spec for each in not_applied for spec in each.specs],
        )

    async def sweep_forever(self) -> None:
        """Answer late calls from the ladder, hedge, and release drained models, periodically."""
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = self._shared.clocks.monotonic_s()
            for model in (*self.live.values(), *self._retired):
                try:
                    model.fall_back_if_due(now_s, next_in_s=_TICK_S)
                    model.hedge_if_slow(now_s)
                except Exception:  # noqa: BLE001 - boundary: a bug must not end every deadline's guard
                    _log.exception("sweep_failed", model=model.deployment.model)
            for model in self._retired:
                model.close()  # as far as possible by now
            self._retired = [model for model in self._retired if not model.is_drained]

    def close(self) -> None:
        """Stop admitting calls; mirrors end once their queued rows are sent."""
        for model in (*self.live.values(), *self._retired):
            model.close_at_once()
        for mirror in self.mirrors.values():
            mirror.close()

    async def close_scorers(self) -> None:
        for closable, _ in self._scorers.values():
            await closable.close()
        self._scorers.clear()

    def _apply_one(
        self,
        deployment: Deployment,
        specs: dict[VersionRef, VersionSpec],
        ready: dict[VersionRef, tuple[str, ...]],
    ) -> None:
        model = deployment.model
        before = self.live.get(model)
        # A version that acts until its successor is ready may no longer be named.
        known = {each.version.spec.ref: each.version.spec for each in _lanes_of(before)} | specs
        of_model = {
            ref.number: found for ref, found in ready.items() if ref.model == model and ref in known
        }
        acting = before.effective.champion if before is not None else None
        effective = decide_effective(deployment, of_model.keys(), acting)
        numbers = {*versions_to_run(deployment), effective.champion or deployment.champion}
        refs = [VersionRef(model, number) for number in sorted(numbers)]
        inputs = _Inputs(
            deployment=deployment,
            effective=effective,
            specs=tuple(known[ref] for ref in refs if ref in known),
            addresses=tuple(sorted(of_model.items())),
        )
        if self._inputs.get(model) == inputs:
            return
        plans = {spec.ref.number: self._plan(spec) for spec in inputs.specs}
        mirrors = self._mirrors(deployment, plans, of_model)
        live = LiveModel(
            deployment, effective, plans, mirrors, self._shared, self._drill, self._spawn
        )
        for number, lane in live.lanes.items():
            guarded = [self._guarded(address) for address in of_model.get(number, ())]
            for puller in lane.serve_with(guarded, self._shared.most_batch_rows):
                puller.join()
                self._tasks.create_task(puller.run(), name=f"puller:{model}@{number}")
        self.live[model] = live
        self._inputs[model] = inputs
        if before is not None:
            self._retire(before)
        _log.info(
            "revision_applied",
            model=model,
            revision=deployment.revision,
            champion=effective.champion,
            challengers=effective.challengers,
            withheld=[str(part) for part in effective.withheld],
        )

    def _spawn(self, call: Coroutine[None, None, None]) -> None:
        self._tasks.create_task(call)

    def _plan(self, spec: VersionSpec) -> VersionPlan:
        key = (spec.ref, spec.artifact_digest)
        if key not in self._plans:
            plan = compile_plan(spec.feature_set, spec.feature_views, spec.inputs)
            self._plans[key] = VersionPlan(spec, plan)
        return self._plans[key]

    def _mirrors(
        self,
        deployment: Deployment,
        plans: dict[int, VersionPlan],
        ready: dict[int, tuple[str, ...]],
    ) -> list[MirrorQueue]:
        declared = {shadow.version: shadow for shadow in deployment.shadows}
        for (model, number), mirror in self.mirrors.items():
            if model == deployment.model and number not in declared:
                mirror.set_target(None, deployment.salt, None, None)
        found: list[MirrorQueue] = []
        for number, shadow in declared.items():
            mirror = self._mirror((deployment.model, number))
            addresses = ready.get(number, ())
            scorer = self._guarded(addresses[0]).scorer if addresses else None
            mirror.set_target(shadow, deployment.salt, plans.get(number), scorer)
            found.append(mirror)
        return found

    def _mirror(self, key: MirrorKey) -> MirrorQueue:
        if key not in self.mirrors:
            self.mirrors[key] = self._new_mirror()
            self._tasks.create_task(self.mirrors[key].run(), name=f"mirror:{key[0]}@{key[1]}")
        return self.mirrors[key]

    def _guarded(self, address: str) -> GuardedScorer:
        if address not in self._scorers:
            opened = self._open_scorer(address)
            guarded = GuardedScorer(
                opened, self._breaker, gone_after_s=self._shared.scorer_timeout_s
            )
            self._scorers[address] = (opened, guarded)
        return self._scorers[address][1]

    def _retire(self, model: LiveModel) -> None:
        model.close()
        self._retired.append(model)

    def _forget_plans(self) -> None:
        """Keep the compiled plans only of served versions, because versions come and go for years."""
        served = {
            (spec.ref, spec.artifact_digest)
            for inputs in self._inputs.values()
            for spec in inputs.specs
        }
        self._plans = {key: plan for key, plan in self._plans.items() if key in served}

    async def _close_unused(self) -> None:
        """Close scorers that no live model, retired model or mirror uses.

        Closing a channel with a call in flight cancels the task that awaits the call.
        """
        used: set[str] = set()
        for model in (*self.live.values(), *self._retired):
            used |= model.addresses()
        for mirror in self.mirrors.values():
            used |= mirror.addresses()
        for address in [each for each in self._scorers if each not in used]:
            closable, _ = self._scorers.pop(address)
            await closable.close()


def _lanes_of(model: LiveModel | None) -> Iterable[VersionLane]:
    return () if model is None else model.lanes.values()


def _ready_addresses(snapshot: Snapshot) -> dict[VersionRef, tuple[str, ...]]:
    addresses: dict[VersionRef, list[str]] = {}
    for process in snapshot.scorers:
        if process.state is ScorerState.READY and process.address:
            addresses.setdefault(process.ref, []).append(process.address)
    return {ref: tuple(sorted(found)) for ref, found in addresses.items()}
