"""The live state of one model name: one compiled revision. Replaced as a whole, never edited."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from router.batches.answer_batch import VersionStages
from router.batches.deliver import Delivery
from router.batches.fetch_features import FeatureFetcher
from router.batches.mirror import MirrorQueue
from router.batches.version_plan import VersionPlan
from router.calls.answered import Served
from router.calls.call import Call
from router.decisions.assignment import Assigner, split_of
from router.decisions.effective import ArmVersion, Effective
from router.decisions.ladder import Cause
from router.ladder.fall_back import Ladder
from router.ladder.rules_first import RulesFirst
from router.lanes.guarded_scorer import GuardedScorer
from router.lanes.lane import Lane
from router.lanes.split_call import split_call
from router.lanes.version_lane import VersionLane
from router.ports import Clocks, DrillState
from router.revision.request_names import request_names
from understudy.domain.deployments import Arm, Deployment

LaneT = TypeVar("LaneT")


@dataclass(frozen=True, slots=True)
class Shared:
    """The parts shared by all live models of a router."""

    features: FeatureFetcher
    delivery: Delivery
    clocks: Clocks
    most_batch_rows: int
    scorer_timeout_s: float
    hedge_after_s: float = 0.0  # an idle scorer also tries a batch that takes longer; 0 for never


@dataclass(frozen=True, slots=True)
class CompiledFrom:
    """The registry's state from which a live model was compiled."""

    lineage: str
    sequence: int


class LiveModel:
    """Takes calls to their assigned arms, and down the ladder if that fails."""

    def __init__(
        self,
        deployment: Deployment,
        effective: Effective,
        versions: Mapping[int, VersionPlan],
        mirrors: Sequence[MirrorQueue],
        shared: Shared,
        drill: DrillState,
        spawn: Callable[[Coroutine[None, None, None]], None],
        *,
        state: CompiledFrom,
        sweep: Callable[[LiveModel], None],
    ) -> None:
        """`sweep`: called when there is a call and `is_swept` is not set."""
        self.is_swept = False
        self._sweep = sweep
        self.deployment = deployment
        self.effective = effective
        self.assigner = Assigner(split_of(deployment))
        self.seats = self.assigner.split.arms
        self.names = request_names(deployment.contract)
        self._shared = shared
        self._drill = drill
        stages = _stages(deployment, effective, versions, shared, state)
        arms = _arms(effective)
        champion, fallback, stand_in = (
            None if number is None else effective.arm_of(number)
            for number in (effective.champion, deployment.fallback.version, effective.stand_in)
        )
        awaited = map(effective.arm_of, effective.awaited)
        answering = dict.fromkeys([*arms, *awaited, *filter(None, (fallback, stand_in))])
        queues = {each: Lane() for each in answering if each.version in stages}
        self._ladder = Ladder(
            deployment,
            served=_served_without(deployment, versions, state),
            champion=_at(champion, queues),
            fallback=_at(fallback, queues),
            stand_in=_at(stand_in, queues),
            delivery=shared.delivery,
            clocks=shared.clocks,
            drill=drill,
        )
        self._rules_first = RulesFirst(
            deployment, stages, ladder=self._ladder, delivery=shared.delivery, spawn=spawn
        )
        self.lanes: dict[ArmVersion, VersionLane] = {
            each: VersionLane(
                queue,
                stages[each.version].in_arm(each.arm),
                deployment=deployment,
                delivery=shared.delivery,
                take_down=self._rules_first.take_down,
                mirrors=tuple(mirrors) if each in arms else (),
                is_fallback=each in {fallback, stand_in},
            )
            for each, queue in queues.items()
        }
        falls_to = dict.fromkeys((champion, fallback, stand_in))
        self._last = [self.lanes[each] for each in falls_to if each in self.lanes]
        answered_by = [effective.answering(seat.arm, seat.version) for seat in self.seats]
        self._lane_of_seat = [_at(each, self.lanes) for each in answered_by]
        self.goes_to_champion = [each == champion for each in answered_by]  # by seat

    def submit(self, call: Call) -> None:
        """Queue `call` for its arm, in parts if it is large, or answer it from the ladder at once."""
        if call.rows <= self._shared.most_batch_rows:
            self._submit(call)
            return
        # A single call may have to wait for one part, so a part is smaller than a batch may be.
        part_rows = max(1, self._shared.most_batch_rows // 2)
        join = self._shared.delivery.responder.join
        for part in split_call(call, part_rows, join, again=self._submit):
            self._submit(part)

    def fall_back_if_due(self, now_s: float, *, next_in_s: float = 0.0) -> None:
        """Answer calls that would miss their deadline from the ladder, queued or in flight.

        Before that, the next version tries calls that a stuck version has had for long.
        `next_in_s`: time until the next call of this; calls due by then are due now.
        """
        due_by_s = now_s + next_in_s
        if late := [call for call in self._rules_first.calls() if call.answer_by_s <= due_by_s]:
            self._ladder.take_down(late, Cause.DEADLINE_NEAR)
        for of_version in self.lanes.values():
            if of_version.is_stuck(now_s):
                self._hand_over(of_version, now_s)
            of_version.take_down_if_due(due_by_s)

    def hedge_if_slow(self, now_s: float) -> None:
        """Let an idle scorer also try slow batches of another one; the first answer counts."""
        if self._shared.hedge_after_s:
            for of_version in self.lanes.values():
                of_version.hedge_if_slow(now_s, self._shared.hedge_after_s)

    def close(self) -> None:
        """Accept no new calls; existing ones may still move from one version to the next.

        So lanes close in the order in which calls fall, each when no call can fall to it any more;
        call it again until all are closed.
        """
        first = [each for each in self.lanes.values() if each not in self._last]
        for stage in (first, *([each] for each in self._last)):
            for of_version in stage:
                of_version.lane.close()
            is_done = all(of_version.lane.is_done for of_version in stage)
            if self._rules_first.is_deciding or not is_done:
                return

    def close_at_once(self) -> None:
        """Accept no calls any more, not even from other versions: the process is exiting."""
        for of_version in self.lanes.values():
            of_version.lane.close()

    @property
    def name(self) -> str:
        return self.deployment.model

    @property
    def has_calls(self) -> bool:
        """Return whether a call waits for its answer, or a scorer still runs one."""
        return self._rules_first.is_deciding or any(
            of_version.lane.has_calls for of_version in self.lanes.values()
        )

    @property
    def is_drained(self) -> bool:
        """Return whether nothing of this model runs any more: no call, and no puller that probes."""
        return not self._rules_first.is_deciding and all(
            of_version.is_drained for of_version in self.lanes.values()
        )

    def scorers(self) -> dict[tuple[int, str], GuardedScorer]:
        """Return its scorers by version and address; both arms of an A/A test have the same ones."""
        return {
            (each.version, puller.address): puller.guarded
            for each, lane in self.lanes.items()
            for puller in lane.pullers
        }

    def addresses(self) -> set[str]:
        """Return the scorers that its pullers still use."""
        return set().union(*(of_version.addresses() for of_version in self.lanes.values()))

    def _submit(self, call: Call) -> None:
        if not self.is_swept:
            self._sweep(self)
        if self._drill.is_on and self._ladder.is_drilling:
            call.progress.pass_champion_by()
            self._ladder.take_down([call], Cause.DRILL)
            return
        of_version = self._lane_of_seat[call.seat]
        if of_version is None or not of_version.lane.put(call):
            self._rules_first.take_down([call], Cause.SCORER_UNAVAILABLE)

    def _hand_over(self, of_version: VersionLane, now_s: float) -> None:
        to = self._ladder.after(of_version.lane)
        if to is not None:
            self._ladder.hand_over(of_version.share_if(lambda call: to.is_due(call, now_s)), to)


def _at(of: ArmVersion | None, lanes: Mapping[ArmVersion, LaneT]) -> LaneT | None:
    return None if of is None else lanes.get(of)


def _arms(effective: Effective) -> list[ArmVersion]:
    """Return the arms that answer calls of their own; shadows see copies of their answers."""
    challengers = [ArmVersion(Arm.CHALLENGER, number) for number in effective.challengers]
    if effective.champion is None:
        return challengers
    return [ArmVersion(Arm.CHAMPION, effective.champion), *challengers]


def _stages(
    deployment: Deployment,
    effective: Effective,
    versions: Mapping[int, VersionPlan],
    shared: Shared,
    state: CompiledFrom,
) -> dict[int, VersionStages]:
    return {
        number: VersionStages(
            version,
            _served(deployment, effective.arm_of(number), version, state),
            rules=deployment.rules,
            features=shared.features,
            clocks=shared.clocks,
            scorer_timeout_s=shared.scorer_timeout_s,
            has_spans=shared.delivery.spans is not None,
        )
        for number, version in versions.items()
    }


def _served(
    deployment: Deployment, of: ArmVersion, version: VersionPlan, state: CompiledFrom
) -> Served:
    return Served(
        model=deployment.model,
        version=of.version,
        arm=of.arm,
        revision=deployment.revision,
        artifact_digest=version.spec.artifact_digest,
        provenance_digest=version.spec.provenance_digest,
        deployment_digest=deployment.digest,
        lineage=state.lineage,
        sequence=state.sequence,
    )


def _served_without(
    deployment: Deployment, versions: Mapping[int, VersionPlan], state: CompiledFrom
) -> Served:
    """Return the identity without a model: the deployment itself, in the champion's name."""
    champion = versions.get(deployment.champion)
    return Served(
        model=deployment.model,
        version=deployment.champion,
        arm=Arm.CHAMPION,
        revision=deployment.revision,
        artifact_digest=champion.spec.artifact_digest if champion else "",
        provenance_digest=champion.spec.provenance_digest if champion else "",
        deployment_digest=deployment.digest,
        lineage=state.lineage,
        sequence=state.sequence,
    )
