"""Calls that no scorer answers: rules come before the ladder, because they need no model.

A rule that sends large amounts to review must not be replaced by a constant because a scorer died.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import structlog

from router.batches.answer_batch import VersionStages, split_decided
from router.batches.deliver import Delivery
from router.calls.call import Call
from router.decisions.ladder import Cause
from router.ladder.fall_back import Ladder
from understudy.domain.deployments import Arm, Deployment

_log = structlog.get_logger()


class RulesFirst:
    """Applies the rules of a revision to calls that have not seen them; the rest goes down."""

    def __init__(
        self,
        deployment: Deployment,
        stages: Mapping[int, VersionStages],
        *,
        ladder: Ladder,
        delivery: Delivery,
        spawn: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._deployment = deployment
        self._stages = stages  # by version
        self._ladder = ladder
        self._delivery = delivery
        self._spawn = spawn
        self._groups: list[Sequence[Call]] = []  # to which rules are being applied

    @property
    def is_deciding(self) -> bool:
        return bool(self._groups)

    def calls(self) -> Iterator[Call]:
        """Iterate over the calls to which rules are being applied."""
        return chain.from_iterable(self._groups)

    def take_down(self, calls: Sequence[Call], cause: Cause) -> None:
        """Take each call down the ladder unless a rule decides it; without time no rule is applied."""
        if not self._deployment.rules or cause is Cause.DEADLINE_NEAR:
            self._ladder.take_down(calls, cause)
            return
        unseen = [call for call in calls if not call.progress.saw_rules]
        self._ladder.take_down([call for call in calls if call.progress.saw_rules], cause)
        if unseen:
            self._groups.append(unseen)
            self._spawn(self._decide(unseen, cause))

    async def _decide(self, calls: Sequence[Call], cause: Cause) -> None:
        by_version: dict[tuple[int, Arm], list[Call]] = {}
        for call in calls:
            by_version.setdefault(self._reads_as(call), []).append(call)
        try:
            for (number, arm), group in by_version.items():
                if number in self._stages:
                    await self._decide_group(self._stages[number], arm, group)
        except Exception:  # noqa: BLE001 - boundary: a bug must not lose a call
            _log.exception("rules_failed", model=self._deployment.model)
        finally:
            self._groups = [group for group in self._groups if group is not calls]
        for call in calls:
            call.progress.see_rules()
        self._ladder.take_down(calls, cause)  # answered calls are not affected

    async def _decide_group(self, stages: VersionStages, arm: Arm, calls: Sequence[Call]) -> None:
        decided, _ = split_decided(await stages.prepare(calls))
        if decided is None:
            return
        answered = stages.answer_by_rules(decided)
        answered = replace(answered, served=replace(answered.served, arm=arm))
        is_awaited = np.repeat(
            [not call.answer.done() for call in answered.calls],
            [call.rows for call in answered.calls],
        )
        if not is_awaited.all():
            answered = answered.restricted(is_awaited)
        if answered.calls:
            self._delivery.deliver(answered, self._deployment)

    def _reads_as(self, call: Call) -> tuple[int, Arm]:
        """Return the version whose features the rules read: the arm's own, if known."""
        assigned = call.live.seats[call.seat]
        if assigned.version in self._stages:
            return assigned.version, assigned.arm
        return self._deployment.champion, Arm.CHAMPION
