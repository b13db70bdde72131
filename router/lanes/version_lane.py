"""One version of a revision: its queue, its scorers, and the way of its batches to answers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router.batches.answer_batch import VersionStages, split_decided
from router.batches.deliver import Delivery
from router.batches.mirror import MirrorQueue
from router.batches.version_plan import VersionPlan
from router.calls.answered import Answered
from router.calls.call import Call, give_up
from router.calls.rows import whole_calls
from router.decisions.ladder import Cause
from router.decisions.rules import NO_RULE
from router.lanes.guarded_scorer import GuardedScorer
from router.lanes.lane import Lane
from router.lanes.puller import Puller
from router.ports import Scorer
from understudy.domain.deployments import Deployment

_PROBE_TIMEOUT_S = 0.25

TakeDown = Callable[[Sequence[Call], Cause], None]


class VersionLane:
    """Answers the calls in `lane`; calls that it cannot answer are taken down the ladder."""

    def __init__(
        self,
        lane: Lane,
        stages: VersionStages,
        *,
        deployment: Deployment,
        delivery: Delivery,
        take_down: TakeDown,
        mirrors: Sequence[MirrorQueue],
        is_fallback: bool,
    ) -> None:
        """`mirrors` get a copy of this version's answers; () unless it is an arm."""
        self.lane = lane
        self.pullers: list[Puller] = []
        self._stages = stages
        self._deployment = deployment
        self._delivery = delivery
        self._take_down = take_down
        self._mirrors = mirrors
        self._is_fallback = is_fallback

    @property
    def version(self) -> VersionPlan:
        return self._stages.version

    def serve_with(self, scorers: Sequence[GuardedScorer], most_batch_rows: int) -> list[Puller]:
        """Return new pullers that serve this version with `scorers`; the caller runs them."""
        clocks = self._stages.clocks
        made = [Puller(self.lane, each, self, clocks, most_batch_rows) for each in scorers]
        self.pullers += made
        return made

    async def answer(self, calls: Sequence[Call], scorer: Scorer) -> None:
        """Score and deliver the calls that are still awaited.

        Raises:
            UnderstudyError: the scorer did not answer, or refuses a row.
        """
        prepared = await self._stages.prepare(calls)
        decided, left = split_decided(prepared)
        if decided is not None:
            answered = self._stages.answer_by_rules(decided)
            await self._hand_out(answered, decided.tensors)
        if left is None:
            return
        answered = await self._stages.infer(left, scorer)
        if self._is_fallback and any(call.progress.tried_fallback for call in calls):
            answered = answered.as_fallback()
        await self._hand_out(answered, left.tensors)

    def take_down(self, calls: Sequence[Call], cause: Cause) -> None:
        """Take each call one step down the ladder."""
        self._take_down(calls, cause)

    async def probe(self, scorer: Scorer) -> None:
        """Score one row of defaults.

        Raises:
            UnderstudyError: the scorer has not recovered.
        """
        version = self.version
        blank = version.plan.assemble(
            [[None] for _ in version.plan.views], None, now_s=self._stages.clocks.utc_s(), rows=1
        )
        await scorer.infer(version.spec, blank.tensors, timeout_s=_PROBE_TIMEOUT_S)

    def take_down_if_due(self, due_by_s: float) -> None:
        """Take calls that must be answered by `due_by_s` down the ladder, queued or in flight."""
        due = self.lane.take_if(lambda call: call.answer_by_s <= due_by_s or call.answer.done())
        for puller in self.pullers:
            due += [call for call in puller.in_flight if call.answer_by_s <= due_by_s]
        if due:  # hedged calls occur twice
            self._take_down(list(dict.fromkeys(due)), Cause.DEADLINE_NEAR)

    def is_stuck(self, now_s: float) -> bool:
        """Return whether none of its scorers is likely to answer soon."""
        return all(puller.is_stuck(now_s) for puller in self.pullers)

    def share_if(self, is_wanted: Callable[[Call], bool]) -> list[Call]:
        """Return calls for another version to try: queued ones are moved, those in flight shared."""
        calls = self.lane.take_if(is_wanted)
        for puller in self.pullers:
            for call in puller.in_flight:
                if is_wanted(call) and not call.answer.done():
                    call.progress.share()
                    calls.append(call)
        return calls

    def hedge_if_slow(self, now_s: float, after_s: float) -> None:
        """Let an idle scorer also try batches that another one has had for `after_s`.

        A stuck scorer takes no more work, so that its batches do not wait until another is idle.
        """
        others_answer = not self.is_stuck(now_s)
        for puller in self.pullers:
            is_taken_over = others_answer and puller.is_stuck(now_s)
            if not self.lane.has_idle_scorer and not is_taken_over:
                continue
            if slow := puller.take_slow(now_s, after_s):
                self._delivery.counters.hedged_rows += sum(call.rows for call in slow)
                self.lane.put_back(slow)

    @property
    def is_drained(self) -> bool:
        """Return whether nothing runs here any more: no call, and no puller that probes."""
        return not self.lane.queued_rows and all(puller.has_ended for puller in self.pullers)

    def addresses(self) -> set[str]:
        """Return the scorers that its pullers still use."""
        return {puller.address for puller in self.pullers if not puller.has_ended}

    async def _hand_out(self, answered: Answered, tensors: tuple[NDArray[Any], ...]) -> None:
        kept = self._rows_to_deliver(answered)
        if kept is not None:
            answered = answered.restricted(kept)
            tensors = tuple(tensor[kept] for tensor in tensors)
        if not answered.calls:
            return
        delivery = self._delivery
        handed = delivery.answer(answered, self._deployment)
        await asyncio.sleep(0)  # the callers' turn: they need not wait for the rest
        delivery.book(answered, self._deployment, handed)
        if self._mirrors:
            self._mirror(answered, tensors, handed.outstanding_rows)

    def _rows_to_deliver(self, answered: Answered) -> NDArray[np.bool_] | None:
        """Return the rows with answers that are still awaited; None if all are.

        A single call without a score, or whose score is not a number, goes down the ladder.
        Candidates of a ScoreBatch stay: each of them is answered with its own error.
        """
        is_finite = bool(np.isfinite(answered.scores).all())
        if is_finite and not any(call.answer.done() for call in answered.calls):
            return None
        kept = np.ones(answered.rows, dtype=bool)
        bad: dict[Cause, list[Call]] = {}
        at = 0
        for call in answered.calls:
            if call.answer.done():  # answered from the ladder, or the caller has disconnected
                kept[at : at + call.rows] = False
                self._delivery.counters.late_rows += call.rows
            elif call.candidates is None and not np.isfinite(answered.scores[at]):
                kept[at] = False
                bad.setdefault(_cause_of(answered, at), []).append(call)
            at += call.rows
        for cause, calls in bad.items():
            self._take_down(give_up(calls), cause)
        return kept

    def _mirror(
        self, answered: Answered, tensors: tuple[NDArray[Any], ...], outstanding_rows: int
    ) -> None:
        """Offer the answers of this version's model to the shadows, except those of rules."""
        if answered.rule_rows is not None:
            by_model = whole_calls(answered.calls, answered.rule_rows == NO_RULE)
            if not by_model.all():
                answered = answered.restricted(by_model)
                tensors = tuple(tensor[by_model] for tensor in tensors)
        if answered.calls:
            for mirror in self._mirrors:
                mirror.offer(answered, tensors, self.version.spec, outstanding_rows)


def _cause_of(answered: Answered, row: int) -> Cause:
    """Return the reason why a row has no finite score."""
    is_incomplete = answered.incomplete is not None and bool(answered.incomplete[row])
    return Cause.FEATURES_MISSING if is_incomplete else Cause.SCORE_NOT_FINITE
