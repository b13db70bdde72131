"""Supervision of one child, which is kept running until told to stop.

STARTING --ready, or not probed-->       READY
STARTING --no process-->                 RESTARTING --back-off-->  STARTING  (without limit)
STARTING, READY --ended, stuck, hung-->  RESTARTING --back-off-->  STARTING  (within the budget,
                                         and beyond it if the child may not be given up;
                                         hung children of one group one at a time)
STARTING, READY --refused-->             resting
RESTARTING --budget spent-->             resting
resting --worth another try-->           STARTING  (with a new budget)
any --told to stop-->                    STOPPING
"""

import asyncio
import random
import time
from dataclasses import dataclass

from understudy.domain.errors import UnderstudyError
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.domain.restarts import GiveUp, Restart, RestartHistory, RestartPolicy
from understudy.runtime.exit_codes import OK
from understudy.runtime.supervision.child import Child
from understudy.runtime.supervision.ending import ChildFailedError, Ending
from understudy.runtime.supervision.liveness import HungChildren, until_hung
from understudy.runtime.supervision.probe import Probe
from understudy.runtime.supervision.readiness import until_ended_or, until_ready
from understudy.runtime.unless_stopped import unless_stopped


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The checks for readiness, and for liveness after that."""

    probe: Probe
    patience: Patience  # until it is ready
    liveness: LivenessPolicy
    answers_before_it_serves: bool = False  # for as long as it must: it started if it answers


@dataclass(frozen=True, slots=True)
class Care:
    """The rules by which a child is kept running."""

    restarts: RestartPolicy
    kill_after_s: float  # from SIGTERM to SIGKILL
    health: HealthCheck | None = None  # None if it is ready at once, and only its exit is noticed
    hung: HungChildren | None = None  # shared by the keepers of a group; None if it has none


class Kept:
    """The hooks of one kind of child; a keeper calls them in the order of the child's life."""

    name: str = ""  # unique in its group

    async def start(self, stop: asyncio.Event) -> Child | None:
        """Start the process; None if `stop` was set first.

        Raises:
            ChildFailedError: it must not be started.
            UnderstudyError, OSError: it cannot be started now; the start is retried.
        """
        raise NotImplementedError

    def while_starting(self, waited_s: float) -> None:
        """Called repeatedly before the child is ready."""

    async def became_ready(self, child: Child) -> None:
        """Called when the child is ready."""

    def serves(self) -> None:
        """Called at each liveness probe that is answered with SERVING."""

    async def before_stop(self) -> None:
        """Called before SIGTERM is sent."""

    def stopped(self, exit_code: int) -> None:
        """Called after an orderly stop; -SIGKILL if the child did not end in time."""

    def gone(self) -> None:
        """Called when the process has ended, or is about to be killed."""

    def judged(self, ending: Ending) -> Ending:
        """Return `ending`, completed with what is known beyond the exit code."""
        return ending

    def starts_again(self, ending: Ending, plan: Restart) -> None:
        """Called when the child has ended and will be restarted."""

    def starts_later(self, why: str, plan: Restart) -> None:
        """Called when the child could not be started; the start will be retried."""

    def may_give_up(self) -> bool:
        """Return whether the child may stay down once its restart budget is spent."""
        return True

    async def rests(self, ending: Ending, given_up: GiveUp | None) -> bool:
        """Return False if the child stays down for good, or True once it is to be retried."""
        raise NotImplementedError


class Keeper:
    """Keeps `kept` running until `stop` is set."""

    def __init__(self, kept: Kept, care: Care, stop: asyncio.Event) -> None:
        self._kept = kept
        self._care = care
        self._stop = stop
        self._history = RestartHistory(care.restarts)

    async def run(self) -> int:
        """Return after an orderly stop, or when the child stays down for good.

        Returns:
            The exit code of the last process; 0 if there was none to stop.
        """
        try:
            while not self._stop.is_set():
                try:
                    return await self._run_once()
                except ChildFailedError as failed:
                    ending = self._kept.judged(failed.ending)
                    if not await self._goes_on_after(ending):
                        return OK if ending.exit_code is None else ending.exit_code
                except (UnderstudyError, OSError) as error:
                    await self._try_later(f"not started: {error}")
            return OK
        finally:
            self._no_longer_replaced()

    async def _run_once(self) -> int:
        """Start the process, watch it until `stop`, and stop it; return its exit code."""
        child = await self._kept.start(self._stop)
        if child is None:
            return OK
        try:
            await self._until_ready(child)
            if not self._stop.is_set():
                self._history = self._history.started()
                if self._care.health is None:
                    self._no_longer_replaced()
                await self._kept.became_ready(child)
                await self._watch(child)
            await self._kept.before_stop()
            exit_code = await child.stop(self._care.kill_after_s)
            self._kept.stopped(exit_code)
            return exit_code
        finally:
            self._kept.gone()
            await child.kill()

    async def _until_ready(self, child: Child) -> None:
        if (health := self._care.health) is not None:
            await until_ready(
                *(child, health.probe, health.patience, self._stop),
                ask_timeout_s=health.liveness.timeout_s,
                while_waiting=self._kept.while_starting,
                any_answer=health.answers_before_it_serves,
            )

    async def _watch(self, child: Child) -> None:
        """Return when `stop` is set.

        Raises:
            ChildFailedError: the child ended, or missed too many probes.
        """
        if (health := self._care.health) is None:
            await until_ended_or(child, self._stop, None)
            return
        await until_hung(
            *(child, health.probe, health.liveness, self._stop),
            *(self._may_replace, self._serves),
        )

    def _may_replace(self) -> bool:
        hung = self._care.hung
        return hung is None or hung.may_replace(self._kept.name)

    def _serves(self) -> None:
        self._no_longer_replaced()
        self._kept.serves()

    def _no_longer_replaced(self) -> None:
        if self._care.hung is not None:
            self._care.hung.replaced(self._kept.name)

    async def _goes_on_after(self, ending: Ending) -> bool:
        """Wait until the child may be restarted; return whether it may."""
        if ending.refused:
            return await self._rest(ending, None)
        self._history, plan = self._history.failed(
            time.monotonic(),
            random.random(),  # noqa: S311 - jitter
            may_give_up=self._kept.may_give_up(),
        )
        match plan:
            case GiveUp():
                return await self._rest(ending, plan)
            case Restart():
                self._kept.starts_again(ending, plan)
                await self._pause(plan)
                return True

    async def _try_later(self, why: str) -> None:
        self._history, plan = self._history.not_started(random.random())  # noqa: S311 - jitter
        self._kept.starts_later(why, plan)
        await self._pause(plan)

    async def _pause(self, plan: Restart) -> None:
        await unless_stopped(self._stop, asyncio.sleep(plan.after_s))

    async def _rest(self, ending: Ending, given_up: GiveUp | None) -> bool:
        self._no_longer_replaced()
        goes_on = await self._kept.rests(ending, given_up)
        self._history = RestartHistory(self._care.restarts)
        return goes_on
