"""What one model name serves now: one revision, compiled. Replaced whole, never edited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from domain.deployments import Arm, DegradationLevel, Deployment
from domain.errors import DeadlinePassedError, UnavailableError, UnderstudyError
from router.answer_batch import VersionPlan, answer_batch
from router.decisions.assignment import Assigner, split_of
from router.decisions.effective import Effective
from router.decisions.ladder import AnswerWith, AskVersion, Cause, Fail, next_step
from router.deliver import Delivery
from router.fetch_features import FeatureFetcher
from router.lane import Lane
from router.mirror import MirrorQueue
from router.ports import Clocks, Scorer
from router.pull_work import GuardedScorer, LaneDuties, Puller
from router.work import Answered, BatchTiming, Served, Work

_PROBE_TIMEOUT_S = 0.25
_LEAST_TIME_FOR_FALLBACK_S = 0.005


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
    most_gather_s: float
    scorer_timeout_s: float


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
    ) -> None:
        self.deployment = deployment
        self.effective = effective
        self.assigner = Assigner(split_of(deployment))
        self.mirrors = tuple(mirrors)
        self._shared = shared
        self._drill = drill
        self._fallback = deployment.fallback
        answering = {effective.champion, *effective.challengers, deployment.fallback.version}
        self.lanes: dict[int, VersionLane] = {
            number: VersionLane(
                versions[number],
                self._served(versions[number]),
                Lane(most_gather_s=shared.most_gather_s),
            )
            for number in sorted(number for number in answering if number is not None)
            if number in versions
        }
        # Everything a request may name, over all versions that may answer it.
        self.entity_types = _entity_types(deployment, versions)
        self.plans = tuple(version.plan for version in versions.values())
        self.feature_names = frozenset(name for plan in self.plans for name in plan.names)
        self.output_names = tuple(
            dict.fromkeys(o.name for version in versions.values() for o in version.spec.outputs)
        )
        self._lane_of_seat = [self._lane_for(arm.version) for arm in self.assigner.split.arms]
        self._champion_lane = self.lanes.get(effective.champion or 0)
        self.seats = self.assigner.split.arms
        self.champion_served = self._served_without(deployment, versions)

    def serve_with(self, number: int, scorers: Sequence[GuardedScorer]) -> list[Puller]:
        """Return new pullers that serve a version with `scorers`; the caller runs them."""
        of_version = self.lanes[number]
        duties = LaneDuties(
            answer=lambda works, scorer: self._answer(of_version, works, scorer),
            fall_back=self.fall_back,
            probe=lambda scorer: self._probe(of_version, scorer),
        )
        made = [
            Puller(of_version.lane, each, duties, self._shared.clocks, self._shared.most_batch_rows)
            for each in scorers
        ]
        of_version.pullers += made
        return made

    def submit(self, work: Work) -> None:
        """Queue `work` for its arm, or answer it from the ladder at once."""
        if self._is_drilling():
            self.fall_back([work], Cause.DRILL)
            return
        of_version = self._lane_of_seat[work.seat]
        if of_version is None or not of_version.lane.put(work):
            self.fall_back([work], Cause.SCORER_UNAVAILABLE)

    def _put_to_champion(self, work: Work, now_s: float) -> bool:
        """Let the champion answer for a challenger that cannot: its share stays with it."""
        champion = self._champion_lane
        if work.tried_champion or champion is None or self._lane_of_seat[work.seat] is champion:
            return False
        if work.answer_by_s - now_s <= _LEAST_TIME_FOR_FALLBACK_S or self._is_drilling():
            return False
        work.tried_champion = True
        return champion.lane.put(work)

    def _is_drilling(self) -> bool:
        return self._drill() > DegradationLevel.FEATURES

    def fall_back(self, works: Sequence[Work], cause: Cause) -> None:
        """Take each work one step down the ladder; errors only where no step is declared."""
        now_s = self._shared.clocks.monotonic_s()
        settled: dict[tuple[DegradationLevel, str], list[tuple[Work, float]]] = {}
        for work in works:
            if work.answer.done() or self._put_to_champion(work, now_s):
                continue
            work.degraded_because = work.degraded_because or cause.value
            step = next_step(
                self._fallback,
                fallback_is_ready=self._fallback_is_ready(work, now_s),
                tried_fallback=work.tried_fallback,
                last_score=self._last_score(work),
                floor=self._drill(),
            )
            match step:
                case AskVersion(version=number):
                    work.tried_fallback = True
                    self.lanes[number].lane.put(work)
                case AnswerWith(level=level, score=score, reason=reason):
                    settled.setdefault((level, reason), []).append((work, score))
                case Fail():
                    self._shared.delivery.fail([work], _error_of(cause))
        for (level, reason), group in settled.items():
            self._shared.delivery.deliver(
                self._declared(level, reason, group, now_s), self.deployment
            )

    def fall_back_if_due(self, now_s: float) -> None:
        """Answer from the ladder what would miss its deadline, queued or in flight."""
        for of_version in self.lanes.values():
            due = of_version.lane.take_due(now_s)
            for puller in of_version.pullers:
                due += [work for work in puller.in_flight if work.answer_by_s <= now_s]
            if due:
                self.fall_back(due, Cause.DEADLINE_NEAR)

    def close(self) -> None:
        """Take no more; the pullers end when what is queued is answered."""
        for of_version in self.lanes.values():
            of_version.lane.close()

    @property
    def is_drained(self) -> bool:
        return not any(
            each.lane.queued_rows or any(puller.in_flight for puller in each.pullers)
            for each in self.lanes.values()
        )

    async def _answer(self, of_version: VersionLane, works: Sequence[Work], scorer: Scorer) -> None:
        answered, tensors = await answer_batch(
            works,
            version=of_version.version,
            served=of_version.served,
            rules=self.deployment.rules,
            features=self._shared.features,
            scorer=scorer,
            clocks=self._shared.clocks,
            scorer_timeout_s=self._shared.scorer_timeout_s,
        )
        if any(work.tried_fallback for work in works):
            answered = as_fallback(answered)
        if not np.isfinite(answered.scores).all():
            answered = self._without_bad_scores(answered)
            if not answered.works:
                return
            tensors = ()  # rows were taken out: not worth mirroring
        self._shared.delivery.deliver(answered, self.deployment)
        if tensors and of_version.served.arm is Arm.CHAMPION:
            for mirror in self.mirrors:
                mirror.offer(answered, tensors, of_version.version.spec)

    def _without_bad_scores(self, answered: Answered) -> Answered:
        """Take the single works with NaN or infinite scores down the ladder; return the rest.

        Candidates of a ScoreBatch stay: each of them is answered with its own error.
        """
        finite = np.isfinite(answered.scores)
        kept_works: list[Work] = []
        bad: list[Work] = []
        kept = np.ones(len(finite), dtype=bool)
        at = 0
        for work in answered.works:
            if work.candidates is None and not finite[at]:
                bad.append(work)
                kept[at] = False
            else:
                kept_works.append(work)
            at += work.rows
        self.fall_back(bad, Cause.SCORE_NOT_FINITE)
        return answered.restricted(kept_works, kept)

    async def _probe(self, of_version: VersionLane, scorer: Scorer) -> None:
        plan = of_version.version.plan
        blank = plan.assemble([[None] for _ in plan.views], None, now_s=self._shared.clocks.utc_s())
        await scorer.infer(of_version.version.spec, blank.tensors, timeout_s=_PROBE_TIMEOUT_S)

    def _fallback_is_ready(self, work: Work, now_s: float) -> bool:
        number = self._fallback.version
        return (
            number is not None
            and number in self.lanes
            and self.lanes[number].lane.open_pullers > 0
            and work.answer_by_s - now_s > _LEAST_TIME_FOR_FALLBACK_S
        )

    def _last_score(self, work: Work) -> float | None:
        if not self._fallback.last_score or work.candidates is not None:
            return None
        return self._shared.delivery.last_scores.find(
            self.deployment.model,
            work.unit_key,
            max_age_s=self._fallback.last_score_max_age_s,
            now_s=self._shared.clocks.monotonic_s(),
        )

    def _declared(
        self,
        level: DegradationLevel,
        reason: str,
        group: Sequence[tuple[Work, float]],
        now_s: float,
    ) -> Answered:
        rows = sum(work.rows for work, _ in group)
        causes = dict.fromkeys(work.degraded_because for work, _ in group)
        return Answered(
            works=[work for work, _ in group],
            served=self.champion_served,
            feature_names=(),
            scores=np.repeat(
                np.array([score for _, score in group], dtype=np.float64),
                [work.rows for work, _ in group],
            ),
            levels=np.full(rows, level, dtype=np.uint8),
            statuses=None,
            reasons=(*causes, reason),
            outputs={},
            timing=BatchTiming(taken_s=now_s, fetch_us=0, infer_us=0, rows=rows),
        )

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


def as_fallback(answered: Answered) -> Answered:
    """Mark the rows that came down the ladder to this version as such."""
    fell = np.repeat(
        [work.tried_fallback for work in answered.works], [work.rows for work in answered.works]
    )
    levels = np.zeros(answered.rows, np.uint8) if answered.levels is None else answered.levels
    causes = dict.fromkeys(w.degraded_because for w in answered.works if w.tried_fallback)
    return replace(
        answered,
        levels=np.where(fell, np.uint8(DegradationLevel.FALLBACK), levels),
        reasons=(*causes, "fallback_version", *answered.reasons),
    )


def _entity_types(deployment: Deployment, versions: Mapping[int, VersionPlan]) -> tuple[str, ...]:
    """Return the entity types that features are read by; the champion's first one leads."""
    in_order = sorted(versions, key=lambda number: number != deployment.champion)
    return tuple(
        dict.fromkeys(view.entity for number in in_order for view in versions[number].plan.views)
    )


def _error_of(cause: Cause) -> UnderstudyError:
    match cause:
        case Cause.DEADLINE_NEAR:
            return DeadlinePassedError("the model answered")
        case Cause.SCORE_NOT_FINITE:
            return UnavailableError("score", "the model's score is not a finite number")
        case Cause.SCORER_UNAVAILABLE | Cause.SCORER_FAILED | Cause.DRILL:
            return UnavailableError("scorer", cause.value)
