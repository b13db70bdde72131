"""A child that is kept running: when it is started again, and when not."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.stack.waiting import until, while_progress
from understudy.domain.errors import UnavailableError
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.domain.restarts import GiveUp, Restart, RestartPolicy
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.ending import ChildFailedError, Ending
from understudy.runtime.supervision.keeper import Care, HealthCheck, Keeper, Kept
from understudy.runtime.supervision.liveness import HungChildren
from understudy.runtime.supervision.probe import Probe, ProbeAnswer

pytestmark = pytest.mark.fault
AT_SECOND_MISS = LivenessPolicy(interval_s=0.001, timeout_s=60.0, misses=2)
AT_ONCE = RestartPolicy(first_back_off_s=0.001, longest_back_off_s=0.001, budget=2, window_s=3600.0)


class KeptPython(Kept):
    """A child whose code is chosen anew for each start; what the keeper says is written down."""

    def __init__(self, *arguments: tuple[str, ...], stop: asyncio.Event) -> None:
        self.told: list[str] = []
        self.children: list[Child] = []
        self.became = asyncio.Event()
        self.is_worth_another_try = False
        self.before_start: Callable[[], None] = lambda: None
        self._arguments = list(arguments)
        self._stop = stop

    async def start(self, stop: asyncio.Event) -> Child | None:
        self.before_start()
        arguments = self._arguments.pop(0) if len(self._arguments) > 1 else self._arguments[0]
        self.children.append(await start_child(ChildSpec(arguments)))
        return self.children[-1]

    async def became_ready(self, child: Child) -> None:
        self.told.append("ready")
        self.became.set()

    def gone(self) -> None:
        self.told.append("gone")

    def starts_again(self, ending: Ending, plan: Restart) -> None:
        self.told.append(f"again: {ending.why}")

    def starts_later(self, why: str, plan: Restart) -> None:
        self.told.append(f"later: {why}")

    async def rests(self, ending: Ending, given_up: GiveUp | None) -> bool:
        self.told.append(f"rests: {ending.why}" if given_up is None else f"gave up: {ending.why}")
        return self.is_worth_another_try


def code(text: str) -> tuple[str, ...]:
    return ("-c", text)


SLEEPS = code("import time; time.sleep(600)")
REFUSES = code("import sys; sys.exit(64)")
FAILS = code("import sys; sys.exit(3)")


def keeper(*arguments: tuple[str, ...], **facts: Any) -> tuple[KeptPython, Keeper, asyncio.Event]:
    stop = asyncio.Event()
    kept = KeptPython(*arguments, stop=stop)
    return (
        kept,
        Keeper(kept, Care(**{"restarts": AT_ONCE, "kill_after_s": 60.0, **facts}), stop),
        stop,
    )


async def test_what_ends_is_started_again_until_its_budget_is_spent() -> None:
    kept, kept_running, _ = keeper(FAILS)

    assert await while_progress(kept_running.run()) == 3

    once = ["ready", "gone", "again: exited with 3"]
    assert kept.told == [*once, *once, "ready", "gone", "gave up: exited with 3"]


async def test_refused_settings_are_told_and_not_tried_again() -> None:
    kept, kept_running, _ = keeper(REFUSES)

    assert await while_progress(kept_running.run()) == 64

    assert kept.told == ["ready", "gone", "rests: refused its settings (exit code 64)"]


async def test_what_is_worth_another_try_gets_a_new_budget() -> None:
    kept, kept_running, _ = keeper(FAILS, FAILS, FAILS, FAILS, REFUSES)
    kept.is_worth_another_try = True
    attempts = 0

    async def rests(ending: Ending, given_up: GiveUp | None) -> bool:
        nonlocal attempts
        attempts += 1
        return given_up is not None

    kept.rests = rests  # type: ignore[method-assign]  # what this test is about

    assert await while_progress(kept_running.run()) == 64

    assert attempts == 2
    assert len(kept.children) == 5


async def test_a_start_that_cannot_be_is_tried_again_and_spends_no_budget() -> None:
    kept, kept_running, _ = keeper(REFUSES)
    causes: list[Exception] = [UnavailableError("registry", "away"), OSError("full")] * 3

    def fail() -> None:
        if causes:
            raise causes.pop()

    kept.before_start = fail

    await while_progress(kept_running.run())

    assert kept.told[:2] == [
        "later: not started: full",
        "later: not started: registry is unavailable: away",
    ]
    assert kept.told[6:] == ["ready", "gone", "rests: refused its settings (exit code 64)"]


async def test_what_is_not_worth_starting_rests() -> None:
    kept, kept_running, _ = keeper(SLEEPS)

    def refuse() -> None:
        raise ChildFailedError(Ending("its artifact is not what was registered", refused=True))

    kept.before_start = refuse

    assert await while_progress(kept_running.run()) == 0

    assert kept.told == ["rests: its artifact is not what was registered"]


async def test_told_to_stop_it_ends_its_child_and_starts_no_other() -> None:
    kept, kept_running, stop = keeper(SLEEPS)
    running = asyncio.ensure_future(kept_running.run())
    await while_progress(kept.became.wait())

    stop.set()

    assert await while_progress(running) == -signal.SIGTERM
    assert kept.told == ["ready", "gone"]
    assert len(kept.children) == 1


async def test_cancelled_it_leaves_no_child_behind() -> None:
    kept, kept_running, _ = keeper(SLEEPS)
    running = asyncio.ensure_future(kept_running.run())
    await while_progress(kept.became.wait())

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert kept.children[0].exit_code == -signal.SIGKILL


class ScriptedProbe(Probe):
    """Answers as written, the last answer for ever."""

    def __init__(self, *answers: ProbeAnswer) -> None:
        super().__init__("no process listens here")
        self.answers = list(answers)
        self.asked = 0

    async def ask(self, timeout_s: float) -> ProbeAnswer:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def health(*answers: ProbeAnswer, patience: Patience | None = None) -> HealthCheck:
    return HealthCheck(ScriptedProbe(*answers), patience or Patience(), AT_SECOND_MISS)


async def test_a_child_that_answers_no_more_is_replaced() -> None:
    ready, none = ProbeAnswer.SERVING, ProbeAnswer.NONE
    checks = health(ready, ready, none, none, ProbeAnswer.NOT_SERVING, ready)
    kept, kept_running, stop = keeper(SLEEPS, health=checks)
    running = asyncio.ensure_future(kept_running.run())
    await while_progress(kept.became.wait())
    kept.became.clear()

    await while_progress(kept.became.wait())
    stop.set()

    await while_progress(running)
    hung = "again: hung: 2 liveness probes without an answer"
    assert kept.told == ["ready", "gone", hung, "ready", "gone"]
    assert kept.children[0].exit_code == -signal.SIGKILL


async def test_single_misses_and_busy_answers_leave_a_child_alone() -> None:
    ready, none = ProbeAnswer.SERVING, ProbeAnswer.NONE
    single_misses = [none, ready, none, ProbeAnswer.NOT_SERVING] * 5
    checks = health(ready, *single_misses, none, none, ready)
    kept, kept_running, stop = keeper(SLEEPS, health=checks)
    running = asyncio.ensure_future(kept_running.run())
    await while_progress(kept.became.wait())
    kept.became.clear()

    await while_progress(kept.became.wait())  # after two consecutive misses, at the very end
    stop.set()

    await while_progress(running)
    assert len(kept.children) == 2
    assert isinstance(checks.probe, ScriptedProbe)
    assert checks.probe.answers == [ready]


async def test_a_child_that_is_never_ready_is_killed_and_counts_as_ended() -> None:
    never = health(ProbeAnswer.NOT_SERVING, patience=Patience(stalled_after_s=0.1))
    kept, kept_running, _ = keeper(SLEEPS, health=never, restarts=replace(AT_ONCE, budget=0))

    await while_progress(kept_running.run())

    gone, given_up = kept.told
    assert gone == "gone"
    assert given_up.startswith("gave up: was not ready: no progress for")
    assert kept.children[0].exit_code == -signal.SIGKILL


async def test_of_several_hung_children_one_at_a_time_is_replaced() -> None:
    """The first replacement answers but does not serve yet; the other child is left alone."""
    hung, ready, none = HungChildren(), ProbeAnswer.SERVING, ProbeAnswer.NONE
    first_checks = replace(
        health(ready, none, none, ProbeAnswer.NOT_SERVING), answers_before_it_serves=True
    )
    second_checks = health(ready, none)
    first, first_keeper, stop_first = keeper(SLEEPS, health=first_checks, hung=hung)
    second, second_keeper, stop_second = keeper(SLEEPS, health=second_checks, hung=hung)
    first.name, second.name = "first", "second"
    second_probe = second_checks.probe
    assert isinstance(first_checks.probe, ScriptedProbe)
    assert isinstance(second_probe, ScriptedProbe)
    running_first = asyncio.ensure_future(first_keeper.run())

    async def first_is_replaced() -> bool:
        return len(first.children) == 2

    await until(first_is_replaced)
    running_second = asyncio.ensure_future(second_keeper.run())

    async def second_missed_often() -> bool:
        return second_probe.asked > 20

    await until(second_missed_often)
    assert second.told == ["ready"]

    first_checks.probe.answers = [ready]

    async def second_is_replaced() -> bool:
        return len(second.children) > 1

    await until(second_is_replaced)
    stop_first.set()
    stop_second.set()
    await while_progress(asyncio.gather(running_first, running_second))


async def test_a_hung_child_that_stays_down_holds_up_no_other() -> None:
    hung, ready, none = HungChildren(), ProbeAnswer.SERVING, ProbeAnswer.NONE
    kept, kept_running, _ = keeper(
        *(SLEEPS, REFUSES), health=health(ready, none, none, none), hung=hung
    )
    kept.name = "first"

    await while_progress(kept_running.run())

    assert kept.told[-1] == "rests: refused its settings (exit code 64)"
    assert hung.may_replace("second")
