"""One scorer's side of a lane: take the waiting calls, answer them, take the next ones.

One batch is in flight per scorer and lane, which makes batches grow without a timer.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from router.calls.call import Call, give_up
from router.decisions.ladder import Cause
from router.lanes.guarded_scorer import GuardedScorer, TimedScorer
from router.lanes.lane import Lane
from router.ports import Clocks, Scorer
from understudy.domain.errors import (
    DeadlinePassedError,
    InvalidInputError,
    UnavailableError,
    UnderstudyError,
)

_PAUSE_AFTER_FAILURE_S = 0.01  # another scorer gets there first
_log = structlog.get_logger()


class LaneDuties(Protocol):
    """The operations of pullers on a lane's calls, provided by its version."""

    async def answer(self, calls: Sequence[Call], scorer: Scorer) -> None:
        """Score and deliver, or raise the reason why the scorer did not answer."""
        ...

    def take_down(self, calls: Sequence[Call], cause: Cause) -> None:
        """Take each call one step down the ladder."""
        ...

    async def probe(self, scorer: Scorer) -> None:
        """Score one row of defaults, to see whether a scorer has recovered."""
        ...


class Puller:
    """Serves a lane with one scorer until the lane is closed and empty."""

    def __init__(
        self, lane: Lane, guarded: GuardedScorer, duties: LaneDuties, clocks: Clocks, most_rows: int
    ) -> None:
        self._lane = lane
        self._guarded = guarded
        self._duties = duties
        self._clocks = clocks
        self._most_rows = most_rows
        self._timed = TimedScorer(guarded.scorer, clocks.monotonic_s)
        self.in_flight: Sequence[Call] = ()
        self._sent_s = 0.0  # when the batch in flight was sent; monotonic
        self.has_ended = False
        self._is_joined = False

    @property
    def address(self) -> str:
        return self._guarded.scorer.address

    @property
    def guarded(self) -> GuardedScorer:
        return self._guarded

    def take_slow(self, now_s: float, hedge_after_s: float) -> list[Call]:
        """Return calls that this scorer has had long enough for another to try; once for each."""
        if not self.in_flight or now_s - self._sent_s < hedge_after_s:
            return []
        slow = [
            call
            for call in self.in_flight
            if call.progress.may_be_hedged and not call.answer.done()
        ]
        for call in slow:
            call.progress.hedge()
        return slow

    def is_stuck(self, now_s: float) -> bool:
        """Return whether it has been silent for much longer than its batches take, or is gone."""
        if not self._is_joined:
            return True
        return bool(self.in_flight) and self._guarded.is_overdue(now_s - self._sent_s)

    def join(self) -> None:
        """Register this scorer before its task takes the first step: calls may wait for it."""
        self._is_joined = True
        self._lane.open_pullers += 1

    async def run(self) -> None:
        """Serve until the lane is closed and empty; `join` must be called first."""
        try:
            while True:
                if not self._guarded.is_closed:
                    await self._wait_until_closed()
                    if not self._is_joined:  # the lane has closed in the meantime
                        return
                calls = await self._lane.take(self._most_rows)
                if not calls:
                    return
                try:
                    succeeded = await self._serve(self._in_time(calls))
                finally:
                    self._lane.release()
                if not succeeded:
                    # Not first in line again: calls that were put back are for another scorer.
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
        finally:
            self.has_ended = True
            self._leave()

    def _in_time(self, calls: Sequence[Call]) -> list[Call]:
        """Return the calls that are still awaited; those without time left are not run."""
        now_s = self._clocks.monotonic_s()
        in_time: list[Call] = []
        late: list[Call] = []
        for call in calls:
            if not call.answer.done():
                (in_time if call.answer_by_s > now_s else late).append(call)
        if late:
            self._duties.take_down(late, Cause.DEADLINE_NEAR)
        return in_time

    async def _serve(self, calls: list[Call]) -> bool:
        """Answer `calls` or pass them on; return whether this scorer succeeded."""
        if not calls:
            return True
        self._sent_s = self._clocks.monotonic_s()
        # Not closed: another lane's failure opened it. A probe uses no caller's work (ADR 8).
        is_closed = self._guarded.is_closed
        permit = self._guarded.admit(self._sent_s) if is_closed else None
        if permit is None:
            self._pass_on(give_up(calls), Cause.SCORER_UNAVAILABLE, was_tried=False)
            return False
        self.in_flight = calls
        self._timed.asked_s = None
        failure: Exception | None = None
        try:
            await self._duties.answer(calls, self._timed)
        except UnderstudyError as error:
            failure = error
            self._after_failure(calls, error)
        except Exception as error:  # noqa: BLE001 - boundary: a bug must not lose a call
            failure = error
            _log.exception("batch_failed")
            self._pass_on(give_up(calls), Cause.SCORER_FAILED)
        finally:
            self.in_flight = ()
            succeeded = self._guarded.judge(
                permit, failure, asked_s=self._timed.asked_s, now_s=self._clocks.monotonic_s()
            )
        return succeeded

    def _after_failure(self, calls: Sequence[Call], error: UnderstudyError) -> None:
        left = give_up(calls)
        if isinstance(error, InvalidInputError):
            self._take_apart(left, error, was_one=len(calls) == 1)
            return
        match error:
            case DeadlinePassedError():
                cause = Cause.DEADLINE_NEAR
            case UnavailableError():
                cause = Cause.SCORER_UNAVAILABLE
            case _:
                cause = Cause.SCORER_FAILED
        if cause is not Cause.DEADLINE_NEAR:  # which the breaker logs if it is significant
            _log.warning("scorer_failed", address=self.address, why=str(error), rows=len(calls))
        self._pass_on(left, cause)

    def _take_apart(
        self, calls: Sequence[Call], error: InvalidInputError, *, was_one: bool
    ) -> None:
        """Try each call alone, so that a row that the scorer refuses does not fail the others."""
        for call in calls:
            if was_one or call.progress.is_alone:
                call.answer.set_exception(error)
            else:
                call.progress.stay_alone()
                self._lane.put_back([call])

    def _pass_on(self, calls: Sequence[Call], cause: Cause, *, was_tried: bool = True) -> None:
        """Pass unanswered calls to another scorer in time, otherwise down the ladder."""
        now_s = self._clocks.monotonic_s()
        again: list[Call] = []
        down: list[Call] = []
        for call in calls:
            if was_tried:
                call.progress.fail_attempt()
            has_time = call.answer_by_s > now_s and call.progress.may_be_tried_again
            elsewhere = self._lane.open_pullers > 1
            (again if has_time and elsewhere else down).append(call)
        if again:
            self._lane.put_back(again)
        if down:
            self._duties.take_down(down, cause)

    async def _wait_until_closed(self) -> None:
        """Leave the lane until a probe succeeds; no call is used as the probe."""
        self._leave()
        while not self._guarded.is_closed and not self._lane.closed:
            now_s = self._clocks.monotonic_s()
            permit = self._guarded.admit(now_s)
            if permit is None:
                await self._lane.closed_within(max(self._guarded.breaker.due_in_s(now_s), 0.001))
                continue
            failure = await self._probe()
            self._guarded.record(permit, failure=failure, now_s=self._clocks.monotonic_s())
        if self._guarded.is_closed:
            self.join()

    async def _probe(self) -> Exception | None:
        try:
            await self._duties.probe(self._guarded.scorer)
        except UnderstudyError as error:
            return error
        except Exception as error:  # noqa: BLE001 - boundary: as for a batch
            _log.exception("probe_failed")
            return error
        return None

    def _leave(self) -> None:
        if not self._is_joined:
            return
        self._is_joined = False
        self._lane.open_pullers -= 1
        if not self._lane.open_pullers and (stranded := give_up(self._lane.take_all())):
            self._duties.take_down(stranded, Cause.SCORER_UNAVAILABLE)
