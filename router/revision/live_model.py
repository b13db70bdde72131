"""What one model name serves now: one revision, compiled. Replaced whole, never edited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.batches.answer_batch import (
    answer_by_rules,
    infer_batch,
    prepare_batch,
    split_decided,
)
from router.batches.deliver import Delivery
from router.batches.fetch_features import FeatureFetcher
from router.batches.mirror import MirrorQueue
from router.batches.version_plan import Prepared, VersionPlan
from router.decisions.assignment import Assigner, split_of
from router.decisions.effective import Effective
from router.decisions.ladder import Cause
from router.decisions.rules import NO_RULE
from router.ladder.fall_back import Ladder, as_fallback
from router.ladder.rules_first import RulesFirst
from router.lanes.guarded_scorer import GuardedScorer
from router.lanes.lane import Lane
from router.lanes.puller import LaneDuties, Puller
from router.lanes.split_work import split_work
from router.ports import Clocks, Scorer
from router.work import Answered, Served, Work, give_up, whole_works
from understudy.domain.deployments import Arm, DegradationLevel, Deployment
from understudy.domain.snapshots import VersionSpec

_PROBE_TIMEOUT_S = 0.25


@dataclass(slots=True, eq=False)
class VersionLane:
    """One version of the revision: its plan, its queue, the scorers that serve it."""

    version: VersionPlan
    served: Served
    lane: Lane
    pullers: list[Puller] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all live models of a router use."""

    features: FeatureFetcher
    delivery: Delivery
    clocks: Clocks
    most_batch_rows: int
    scorer_timeout_s: float
    hedge_after_s: float = 0.0  # a batch away for longer is tried by an idle scorer too; 0: never


class LiveModel:
    """Takes work to the arm it is assigned to; takes it down the ladder when that fails."""

    def __init__(
        self,
        deployment: Deployment,
        effective: Effective,
        versions: Mapping[int, VersionPlan],
        mirrors: Sequence[MirrorQueue],
        shared: Shared,
        drill: Callable[[], DegradationLevel],
        spawn: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self.deployment = deployment
        self.effective = effective
        self.assigner = Assigner(split_of(deployment))
        self.mirrors = tuple(mirrors)
        self._shared = shared
        answering = {effective.champion, *effective.challengers, deployment.fallback.version}
        self.lanes: dict[int, VersionLane] = {
            number: VersionLane(
                versions[number],
                self._served(versions[number]),
                Lane(),
            )
            for number in sorted(number for number in answering if number is not None)
            if number in versions
        }
        # Everything a request may name, over all versions that may answer it.
        self.entity_types = _entity_types(deployment, versions)
        self.plans = tuple(version.plan for version in versions.values())
        self.feature_names = frozenset(
            (
                *(name for plan in self.plans for name in plan.names),
                *(r.feature for r in deployment.rules),
            )
        )
        self.output_names = tuple(
            dict.fromkeys(o.name for version in versions.values() for o in version.spec.outputs)
        )
        self._lane_of_seat = [self._lane_for(arm.version) for arm in self.assigner.split.arms]
        self._champion = self.lanes.get(effective.champion or 0)
        self.seats = self.assigner.split.arms
        self._fallback = fallback = self.lanes.get(deployment.fallback.version or 0)
        self._ladder = Ladder(
            deployment,
            served=self._served_without(deployment, versions),
            champion=self._champion.lane if self._champion else None,
            fallback=fallback.lane if fallback else None,
            delivery=shared.delivery,
            clocks=shared.clocks,
            drill=drill,
        )
        self._rules_first = RulesFirst(
            deployment,
            versions,
            served=self._served,
            prepare=self._prepare,
            ladder=self._ladder,
            delivery=shared.delivery,
            spawn=spawn,
        )

    def serve_with(self, number: int, scorers: Sequence[GuardedScorer]) -> list[Puller]:
        """Return new pullers that serve a version with `scorers`; the caller runs them."""
        of_version = self.lanes[number]
        duties = LaneDuties(
            answer=lambda works, scorer: self._answer(of_version, works, scorer),
            fall_back=self._rules_first.take_down,
            probe=lambda scorer: self._probe(of_version, scorer),
        )
        made = [
            Puller(of_version.lane, each, duties, self._shared.clocks, self._shared.most_batch_rows)
            for each in scorers
        ]
        of_version.pullers += made
        return made

    def submit(self, work: Work) -> None:
        """Queue `work` for its arm, in parts if it is large, or answer it from the ladder at once."""
        if work.rows <= self._shared.most_batch_rows:
            self._submit(work)
            return
        part_rows = max(1, self._shared.most_batch_rows // 2)  # live work fits beside a part
        join = self._shared.delivery.responder.join
        for part in split_work(work, part_rows, join, again=self._submit):
            self._submit(part)

    def _submit(self, work: Work) -> None:
        if self._ladder.is_drilling:
            self._ladder.take_down([work], Cause.DRILL)
            return
        of_version = self._lane_of_seat[work.seat]
        work.tried_champion = of_version is self._champion
        if of_version is None or not of_version.lane.put(work):
            self._rules_first.take_down([work], Cause.SCORER_UNAVAILABLE)

    def fall_back_if_due(self, now_s: float, *, next_in_s: float = 0.0) -> None:
        """Answer from the ladder what would miss its deadline, queued or in flight.

        Before that, the next version tries what a version that is stuck has had for long.
        `next_in_s`: when this is asked again; what is due by then is due now.
        """
        due_by_s = now_s + next_in_s
        if late := [work for work in self._rules_first.works() if work.answer_by_s <= due_by_s]:
            self._ladder.take_down(late, Cause.DEADLINE_NEAR)
        for of_version in self.lanes.values():
            lane, pullers = of_version.lane, of_version.pullers
            if all(puller.is_stuck(now_s) for puller in pullers):
                self._hand_over(of_version, now_s)
            due = lane.take_if(lambda work: work.answer_by_s <= due_by_s or work.answer.done())
            for puller in pullers:
                due += [work for work in puller.in_flight if work.answer_by_s <= due_by_s]
            if due:  # hedged work is there twice
                self._ladder.take_down(list(dict.fromkeys(due)), Cause.DEADLINE_NEAR)

    def _hand_over(self, of_version: VersionLane, now_s: float) -> None:
        to = self._ladder.after(of_version.lane)
        if to is None:
            return
        works = of_version.lane.take_if(lambda work: to.is_due(work, now_s))
        for puller in of_version.pullers:
            for work in puller.in_flight:
                if to.is_due(work, now_s) and not work.answer.done():
                    work.holders += 1
                    works.append(work)
        self._ladder.hand_over(works, to)

    def hedge_if_slow(self, now_s: float) -> None:
        """Let an idle scorer try, too, what another one has had for long; the first answer counts."""
        after_s = self._shared.hedge_after_s
        if not after_s:
            return
        for of_version in self.lanes.values():
            for puller in of_version.pullers:
                if not of_version.lane.has_idle_scorer:
                    break
                if slow := puller.take_slow(now_s, after_s):
                    self._shared.delivery.counters.hedged_rows += sum(work.rows for work in slow)
                    of_version.lane.put_back(slow)

    def close(self) -> None:
        """Take no new work; what is here may still go from one version to the next.

        So lanes close in the order in which work falls, each when nothing can fall to it any more;
        call it again until all are.
        """
        last = [each for each in (self._champion, self._fallback) if each is not None]
        first = [each for each in self.lanes.values() if each not in last]
        for stage in (first, *([each] for each in last)):
            for of_version in stage:
                of_version.lane.close()
            is_done = all(of_version.lane.is_done for of_version in stage)
            if self._rules_first.is_deciding or not is_done:
                return

    def close_at_once(self) -> None:
        """Take nothing any more, from nobody: the process ends."""
        for of_version in self.lanes.values():
            of_version.lane.close()

    @property
    def is_drained(self) -> bool:
        """Whether nothing of this model runs any more: no work, and no puller that probes."""
        return not self._rules_first.is_deciding and not any(
            each.lane.queued_rows or any(not puller.has_ended for puller in each.pullers)
            for each in self.lanes.values()
        )

    def addresses(self) -> set[str]:
        """Return the scorers that its pullers still use."""
        return {
            puller.address
            for each in self.lanes.values()
            for puller in each.pullers
            if not puller.has_ended
        }

    async def _answer(self, of_version: VersionLane, works: Sequence[Work], scorer: Scorer) -> None:
        rules = self.deployment.rules
        prepared = await self._prepare(of_version.version, works)
        decided, left = split_decided(prepared)
        if decided is not None:
            answered = answer_by_rules(
                decided, version=of_version.version, served=of_version.served, rules=rules
            )
            await self._hand_out(of_version, answered, decided.tensors)
        if left is None:
            return
        answered = await infer_batch(
            left,
            version=of_version.version,
            served=of_version.served,
            rules=rules,
            scorer=scorer,
            clocks=self._shared.clocks,
            scorer_timeout_s=self._shared.scorer_timeout_s,
        )
        if of_version is self._fallback and any(work.tried_fallback for work in works):
            answered = as_fallback(answered)
        await self._hand_out(of_version, answered, left.tensors)

    async def _prepare(self, version: VersionPlan, works: Sequence[Work]) -> Prepared:
        prepared = await prepare_batch(
            works,
            version=version,
            rules=self.deployment.rules,
            features=self._shared.features,
            clocks=self._shared.clocks,
        )
        if self.deployment.rules:
            for work in works:
                work.saw_rules = True
        return prepared

    async def _hand_out(
        self, of_version: VersionLane, answered: Answered, tensors: tuple[NDArray[Any], ...]
    ) -> None:
        kept = self._rows_to_deliver(answered)
        if kept is not None:
            answered = answered.restricted(kept)
            tensors = tuple(tensor[kept] for tensor in tensors)
        if not answered.works:
            return
        delivery = self._shared.delivery
        handed = delivery.answer(answered, self.deployment)
        await asyncio.sleep(0)  # the callers' turn: what follows is not theirs to wait for
        delivery.book(answered, self.deployment, handed)
        if of_version is self._champion and self.mirrors:
            self._mirror(answered, tensors, of_version.version.spec, handed.outstanding_rows)

    def _rows_to_deliver(self, answered: Answered) -> NDArray[np.bool_] | None:
        """Return which rows are answers that somebody awaits; None: all are.

        A single work with a score that is no number goes down the ladder. Candidates of a
        ScoreBatch stay: each of them is answered with its own error.
        """
        is_finite = bool(np.isfinite(answered.scores).all())
        if is_finite and not any(work.answer.done() for work in answered.works):
            return None
        kept = np.ones(answered.rows, dtype=bool)
        bad: list[Work] = []
        at = 0
        for work in answered.works:
            if work.answer.done():  # answered from the ladder meanwhile, or the caller has gone
                kept[at : at + work.rows] = False
                self._shared.delivery.counters.late_rows += work.rows
            elif work.candidates is None and not np.isfinite(answered.scores[at]):
                kept[at] = False
                bad.append(work)
            at += work.rows
        self._ladder.take_down(give_up(bad), Cause.SCORE_NOT_FINITE)
        return kept

    def _mirror(
        self,
        answered: Answered,
        tensors: tuple[NDArray[Any], ...],
        spec: VersionSpec,
        outstanding_rows: int,
    ) -> None:
        """Offer to the shadows what the champion's model answered; not what a rule decided."""
        if answered.rule_rows is not None:
            by_model = whole_works(answered.works, answered.rule_rows == NO_RULE)
            if not by_model.all():
                answered = answered.restricted(by_model)
                tensors = tuple(tensor[by_model] for tensor in tensors)
        if answered.works:
            for mirror in self.mirrors:
                mirror.offer(answered, tensors, spec, outstanding_rows)

    async def _probe(self, of_version: VersionLane, scorer: Scorer) -> None:
        plan = of_version.version.plan
        blank = plan.assemble(
            [[None] for _ in plan.views], None, now_s=self._shared.clocks.utc_s(), rows=1
        )
        await scorer.infer(of_version.version.spec, blank.tensors, timeout_s=_PROBE_TIMEOUT_S)

    def _lane_for(self, declared: int) -> VersionLane | None:
        acts = declared in self.effective.challengers or declared == self.effective.champion
        number = declared if acts else self.effective.champion
        return None if number is None else self.lanes[number]

    def _served(self, version: VersionPlan) -> Served:
        number = version.spec.ref.number
        arm = Arm.CHALLENGER if number in self.effective.challengers else Arm.CHAMPION
        return Served(
            model=self.deployment.model,
            version=number,
            arm=arm,
            revision=self.deployment.revision,
            artifact_digest=version.spec.artifact_digest,
            provenance_digest=version.spec.provenance_digest,
            deployment_digest=self.deployment.digest,
        )

    def _served_without(
        self, deployment: Deployment, versions: Mapping[int, VersionPlan]
    ) -> Served:
        """Who answers when no model did: the deployment itself, in the champion's name."""
        champion = versions.get(deployment.champion)
        return Served(
            model=deployment.model,
            version=deployment.champion,
            arm=Arm.CHAMPION,
            revision=deployment.revision,
            artifact_digest=champion.spec.artifact_digest if champion else "",
            provenance_digest=champion.spec.provenance_digest if champion else "",
            deployment_digest=deployment.digest,
        )


def _entity_types(deployment: Deployment, versions: Mapping[int, VersionPlan]) -> tuple[str, ...]:
    """Return the entity types that features are read by; the champion's first one leads."""
    in_order = sorted(versions, key=lambda number: number != deployment.champion)
    return tuple(
        dict.fromkeys(view.entity for number in in_order for view in versions[number].plan.views)
    )
