"""The ladder: the declared answers of a revision for calls that its scorers cannot answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router.batches.deliver import Delivery
from router.calls.answered import Answered, BatchTiming, Served
from router.calls.call import Call
from router.decisions.budget import share_spent_s
from router.decisions.ladder import AnswerWith, AskVersion, Cause, Fail, Step, next_step
from router.decisions.reasons import INCOMPLETE
from router.lanes.lane import Lane
from router.ports import Clocks, DrillState
from understudy.domain.deployments import DegradationLevel, DegradationReason, Deployment
from understudy.domain.errors import DeadlinePassedError, UnavailableError, UnderstudyError

_LEAST_TIME_TO_ASK_S = 0.005  # with less, another version could not answer in time
_CHALLENGER_SHARE = 0.6  # of a call's time, for a challenger; the rest is for the champion
_FIRST_VERSION_SHARE = 0.8  # the rest is for the fallback version


@dataclass(frozen=True, slots=True)
class NextVersion:
    """The version that tries after a stuck one, and when."""

    lane: Lane
    share: float  # of its time that a call waits for the first version
    is_fallback: bool

    def is_due(self, call: Call, now_s: float) -> bool:
        progress = call.progress
        has_tried = progress.tried_fallback if self.is_fallback else progress.tried_champion
        return not has_tried and now_s >= share_spent_s(
            arrived_s=call.arrived_s, answer_by_s=call.answer_by_s, share=self.share
        )


class Ladder:
    """The ladder of one revision. Each call goes one step at a time, only onto declared steps."""

    def __init__(
        self,
        deployment: Deployment,
        *,
        served: Served,
        champion: Lane | None,
        fallback: Lane | None,
        stand_in: Lane | None,
        delivery: Delivery,
        clocks: Clocks,
        drill: DrillState,
    ) -> None:
        self._deployment = deployment
        self._served = served  # the identity in declared answers
        self._champion = champion
        self._fallback = fallback
        self._stand_in = stand_in  # a former champion, kept warm
        self._delivery = delivery
        self._clocks = clocks
        self._drill = drill

    @property
    def is_drilling(self) -> bool:
        """Return whether all calls are to be answered from the ladder, on purpose."""
        return self._drill.is_on and self._drill.level() > DegradationLevel.FEATURES

    def take_down(self, calls: Sequence[Call], cause: Cause) -> None:
        """Take each call one step down; it ends with an error only if no step is left."""
        now_s = self._clocks.monotonic_s()
        settled: dict[tuple[DegradationLevel, DegradationReason], list[tuple[Call, float]]] = {}
        for call in calls:
            if call.answer.done() or self._put_to_champion(call, now_s):
                continue
            call.progress.fall(cause)
            match self._next_step(call, now_s):
                case AskVersion():
                    call.progress.go_to_fallback()
                    if self._fallback is None or not self._fallback.put(call):
                        raise AssertionError("asked a version that is not served")
                case AnswerWith(level=level, score=score, reason=reason):
                    settled.setdefault((level, reason), []).append((call, score))
                case Fail():
                    self._put_to_stand_in_or_fail(call, cause, now_s)
        for (level, reason), group in settled.items():
            self._delivery.deliver(self._declared(level, reason, group, now_s), self._deployment)

    def after(self, lane: Lane) -> "NextVersion | None":
        """Return the version that may try the calls of a stuck one, or None."""
        champion, fallback = self._champion, self._fallback
        if champion is not None and champion is not lane and champion.open_pullers:
            return NextVersion(champion, _CHALLENGER_SHARE, is_fallback=False)
        if fallback is not None and fallback is not lane and fallback.open_pullers:
            return NextVersion(fallback, _FIRST_VERSION_SHARE, is_fallback=True)
        return None

    def hand_over(self, calls: Sequence[Call], to: "NextVersion") -> None:
        """Let the next version try as well; the first answer counts."""
        for call in calls:
            if to.is_fallback:
                call.progress.fall(Cause.DEADLINE_NEAR)
                call.progress.go_to_fallback()
            else:
                call.progress.go_to_champion()
            to.lane.put(call)

    def _put_to_champion(self, call: Call, now_s: float) -> bool:
        """Let the champion answer for a failing challenger, whose share stays with it."""
        if call.progress.tried_champion or self._champion is None or self.is_drilling:
            return False
        call.progress.go_to_champion()
        return self._has_time(call, now_s) and self._champion.put(call)

    def _put_to_stand_in_or_fail(self, call: Call, cause: Cause, now_s: float) -> None:
        """Let a former champion answer rather than nothing; level and version tell the caller."""
        may_ask = not (call.progress.tried_fallback or self.is_drilling)
        if self._stand_in is not None and may_ask and self._has_time(call, now_s):
            call.progress.go_to_fallback()
            if self._stand_in.put(call):
                return
        self._delivery.fail([call], _error_of(cause))

    def _next_step(self, call: Call, now_s: float) -> Step:
        return next_step(
            self._deployment.fallback,
            fallback_is_ready=(
                self._fallback is not None
                and self._fallback.open_pullers > 0
                and self._has_time(call, now_s)
            ),
            tried_fallback=call.progress.tried_fallback,
            last_score=self._last_score(call, now_s),
            floor=self._drill.level(),
        )

    def _has_time(self, call: Call, now_s: float) -> bool:
        return call.answer_by_s - now_s > _LEAST_TIME_TO_ASK_S

    def _last_score(self, call: Call, now_s: float) -> float | None:
        max_age_s = self._deployment.fallback.last_score_max_age_s
        if max_age_s is None or call.candidates is not None:
            return None
        return self._delivery.last_scores.find(call, max_age_s=max_age_s, now_s=now_s)

    def _declared(
        self,
        level: DegradationLevel,
        reason: DegradationReason,
        group: Sequence[tuple[Call, float]],
        now_s: float,
    ) -> Answered:
        calls = [call for call, _ in group]
        counts = [call.rows for call in calls]
        scores = np.array([score for _, score in group], dtype=np.float64)
        return Answered(
            calls=calls,
            served=self._served,
            feature_names=(),
            scores=np.repeat(scores, counts),
            levels=np.full(sum(counts), level, dtype=np.uint8),
            statuses=None,
            outputs={},
            timing=BatchTiming(taken_s=now_s, fetch_us=0, infer_us=0, rows=sum(counts)),
            step=reason,
        )


def _error_of(cause: Cause) -> UnderstudyError:
    match cause:
        case Cause.DEADLINE_NEAR:
            return DeadlinePassedError("the model answered")
        case Cause.SCORE_NOT_FINITE:
            return UnavailableError("score", "the model's score is not a finite number")
        case Cause.FEATURES_MISSING:
            return UnavailableError("score", INCOMPLETE)
        case Cause.DRILL:
            return UnavailableError("model", "a drill is running, and no fallback is declared")
        case Cause.SCORER_UNAVAILABLE | Cause.SCORER_FAILED:
            return UnavailableError("scorer", f"{cause.value}, and no fallback is declared")
