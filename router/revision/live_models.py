"""The live models of a snapshot of the registry: changed ones are compiled, others kept."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import structlog

from router.batches.mirror import MirrorQueue
from router.batches.version_plan import VersionPlan
from router.decisions.breaker import BreakerPolicy
from router.decisions.effective import Effective, decide_effective
from router.decisions.shadow_address import shadow_address
from router.lanes.version_lane import VersionLane
from router.ports import DrillState
from router.revision.acting_memory import ActingMemory
from router.revision.first_answers import (
    FirstAnswers,
    UnprovenScorer,
    reported_scorers,
    reporting_hosts,
)
from router.revision.live_model import CompiledFrom, LiveModel, Shared
from router.revision.model_facts import ModelFacts, facts_by_model
from router.revision.open_scorers import OpenScorer, OpenScorers
from router.revision.steady_versions import SteadyVersions
from router.revision.sweep import Sweep
from router.revision.version_plans import VersionPlans
from understudy.domain.belief import with_deployments
from understudy.domain.deployments import Deployment, versions_to_run
from understudy.domain.errors import UnderstudyError
from understudy.domain.snapshots import Snapshot, VersionSpec
from understudy.domain.versions import VersionRef

_log = structlog.get_logger()

MirrorKey = tuple[str, int]  # model, shadow version


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The inputs of a live model; equal inputs need no new one."""

    deployment: Deployment
    effective: Effective
    specs: tuple[VersionSpec, ...]
    addresses: tuple[tuple[int, tuple[str, ...]], ...]  # ready scorers by version
    hosts: tuple[str | None, ...]  # of these addresses, in their order


class LiveModels:
    """All models that this router serves now. Each is replaced as a whole, between batches.

    A replaced model answers the calls it has admitted, so a batch sees exactly one revision.
    """

    def __init__(
        self,
        shared: Shared,
        *,
        open_scorer: OpenScorer,
        new_mirror: Callable[[], MirrorQueue],
        breaker: BreakerPolicy,
        tasks: asyncio.TaskGroup,
        drill: DrillState,
    ) -> None:
        self._shared = shared
        self._new_mirror = new_mirror
        self._tasks = tasks
        self._drill = drill
        self.live: dict[str, LiveModel] = {}  # by model name; only `apply` changes it
        self._inputs: dict[str, _Inputs] = {}
        self._sweep = Sweep(shared.clocks.monotonic_s)
        self._plans = VersionPlans()
        self._scorers = OpenScorers(
            open_scorer,
            breaker,
            gone_after_s=shared.scorer_timeout_s,
            turned=self._turned,
            exchanged=self._ask_again,
        )
        self._first_answers = FirstAnswers(self._scorers.closable_at, tasks, answered=self._turned)
        self._steady = SteadyVersions(shared.clocks.monotonic_s, look_again=self._turned)
        self._has_turned = False  # a breaker, since it was last decided which versions act
        self._is_closed = False
        self.snapshot: Snapshot | None = None  # in use; None before the first one
        self._in_effect = Snapshot("", 0)  # the same, but for deployments that were not compiled
        self.changed = asyncio.Event()  # what is in effect; cleared by its reader
        self.acting = ActingMemory(self.changed.set)
        self.mirrors: dict[MirrorKey, MirrorQueue] = {}
        self.lineage: str | None = None  # of the snapshot in use; None before the first one
        self.sequence: int | None = None

    def __iter__(self) -> Iterator[LiveModel]:
        return iter(self.live.values())

    async def apply(self, snapshot: Snapshot) -> None:
        """Serve the snapshot, once its new scorers were asked.

        A deployment that cannot be compiled keeps its old model, and acts in its old revision.
        """
        self._scorers.expect(reporting_hosts(snapshot))
        await self._first_answers.ask(reported_scorers(snapshot))
        self.snapshot = snapshot
        not_applied = self._apply_all(snapshot)
        for gone in self.live.keys() - {each.model for each in snapshot.deployments}:
            self._sweep.retire(self.live.pop(gone))
            del self._inputs[gone]
            self.acting.forget(gone)
        self._in_effect = with_deployments(
            snapshot,
            [each.deployment for each in not_applied],
            versions=[spec for each in not_applied for spec in each.specs],
        )
        self.lineage, self.sequence = snapshot.lineage, snapshot.sequence
        kept = (spec for each in self._inputs.values() for spec in each.specs)
        self._plans.keep_only(chain(kept, snapshot.versions))
        await self._close_unused()
        self.changed.set()

    def compile_new(self, snapshot: Snapshot) -> None:
        """Compile the versions that were not seen before; in a thread, because wide ones take long."""
        self._plans.compile_new(snapshot.versions)

    def in_effect(self) -> Snapshot:
        """Return the applied state, with the champions that act in this router now."""
        return self.acting.added_to(self._in_effect)

    def _apply_all(self, snapshot: Snapshot) -> list[_Inputs]:
        """Compile the changed deployments; return the inputs of models that could not be replaced."""
        self._has_turned = False
        facts = facts_by_model(snapshot, self._first_answers)
        not_applied: list[_Inputs] = []
        for deployment in snapshot.deployments:
            try:
                self._apply_one(deployment, facts[deployment.model], snapshot)
            except UnderstudyError as error:
                _log.error(
                    "revision_not_applied",
                    model=deployment.model,
                    revision=deployment.revision,
                    why=str(error),
                )
                not_applied += [self._inputs[n] for n in [deployment.model] if n in self._inputs]
        return not_applied

    def unproven(self) -> Iterable[UnprovenScorer]:
        """Return the scorers that are said to be ready, and have not answered yet."""
        return self._first_answers.unproven()

    async def sweep_forever(self) -> None:
        """Answer late calls from the ladder, hedge, and release drained models, periodically."""
        await self._sweep.run()

    def close(self, *, mirrors_within_s: float) -> None:
        """Stop admitting calls; mirrors end once their queued rows are sent, or at their limit."""
        self._is_closed = True
        self._first_answers.close()
        for model in (*self.live.values(), *self._sweep.retired):
            model.close_at_once()
        for mirror in self.mirrors.values():
            mirror.close(within_s=mirrors_within_s)

    async def close_scorers(self) -> None:
        await self._scorers.close_all_but(frozenset())

    def _apply_one(self, deployment: Deployment, facts: ModelFacts, snapshot: Snapshot) -> None:
        model = deployment.model
        before = self.live.get(model)
        # A version that acts until its successor is ready may no longer be named.
        known = {each.version.spec.ref: each.version.spec for each in _lanes_of(before)}
        known |= facts.specs
        of_model = {ref.number: each for ref, each in facts.addresses.items() if ref in known}
        acting = self.acting.versions(model, facts.acting)
        plans, unservable = self._plans.of(
            known[ref]
            for number in {*versions_to_run(deployment), *acting}
            if (ref := VersionRef(model, number)) in known
        )
        unanswering = self._scorers.unanswering(of_model)
        effective = decide_effective(
            *(deployment, of_model.keys(), acting, unanswering, unservable),
            unproven={ref.number for ref in facts.reported if ref in known},
            foreign=facts.foreign,
            unsteady=self._steady.held(model, of_model, unanswering),
        )
        numbers = {*versions_to_run(deployment), effective.champion or deployment.champion}
        refs = [VersionRef(model, number) for number in sorted(numbers)]
        inputs = _Inputs(
            deployment=deployment,
            effective=effective,
            specs=tuple(known[ref] for ref in refs if ref in known),
            addresses=tuple(sorted(of_model.items())),
            hosts=self._scorers.hosts_of(of_model),
        )
        if self._inputs.get(model) == inputs:
            return
        plans = {number: plan for number, plan in plans.items() if number in numbers}
        mirrors = self._mirrors(deployment, plans, of_model)
        live = LiveModel(
            *(deployment, effective, plans, mirrors, self._shared, self._drill, self._spawn),
            state=CompiledFrom(snapshot.lineage, snapshot.sequence),
            sweep=self._sweep.begin,
        )
        for of, lane in live.lanes.items():
            guarded = [self._scorers.at(address) for address in of_model.get(of.version, ())]
            for puller in lane.serve_with(guarded, self._shared.most_batch_rows):
                puller.join()
                self._tasks.create_task(puller.run(), name=f"puller:{model}@{of.version}")
        self.live[model] = live
        self._inputs[model] = inputs
        now_ns = round(self._shared.clocks.utc_s() * 1e9)
        self.acting.note(deployment, effective, now_ns=now_ns)
        if before is not None:
            self._sweep.retire(before)
        _log.info(
            "revision_applied",
            model=model,
            revision=deployment.revision,
            champion=effective.champion,
            challengers=effective.challengers,
            withheld=[str(part) for part in effective.withheld],
        )
        for number, why in unservable.items():
            _log.error("version_unservable", version=f"{model}@{number}", why=why)

    def _ask_again(self, address: str) -> None:
        self._first_answers.ask_again(address)

    def _turned(self) -> None:
        """Decide again which versions act, because a breaker has opened or closed; once for many."""
        if not self._has_turned:
            self._has_turned = True
            asyncio.get_running_loop().call_soon(self._decide_again)

    def _decide_again(self) -> None:
        if self.snapshot is None or self._is_closed:
            return
        try:
            self._apply_all(self.snapshot)
        except Exception:  # noqa: BLE001 - boundary: a bug must not end the calls of other models
            _log.exception("not_decided_again")

    def _spawn(self, call: Coroutine[None, None, None]) -> None:
        self._tasks.create_task(call)

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
            address = shadow_address(deployment, number, ready.get(number, ()))
            scorer = None if address is None else self._scorers.at(address).scorer
            mirror.set_target(shadow, deployment.salt, plans.get(number), scorer)
            found.append(mirror)
        return found

    def _mirror(self, key: MirrorKey) -> MirrorQueue:
        if key not in self.mirrors:
            self.mirrors[key] = self._new_mirror()
            self._tasks.create_task(self.mirrors[key].run(), name=f"mirror:{key[0]}@{key[1]}")
        return self.mirrors[key]

    async def _close_unused(self) -> None:
        """Close scorers that no live model, retired model or mirror uses, and that are not asked."""
        used = {each.scorer.address for each in self.unproven()}
        for model in (*self.live.values(), *self._sweep.retired):
            used |= model.addresses()
        for mirror in self.mirrors.values():
            used |= mirror.addresses()
        await self._scorers.close_all_but(used)


def _lanes_of(model: LiveModel | None) -> Iterable[VersionLane]:
    return () if model is None else model.lanes.values()
