"""Changes by many processes at once, and through kills: none is lost, none is half made."""

import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.registry.change_maker import reason_of
from tests.registry.commands import end, start
from tests.registry.operator import LIMIT_S
from tests.registry.samples import ACTOR, new_version, record_with
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion, Rollback
from understudy.domain.errors import RefusedError, UnderstudyError
from understudy.runtime.exit_codes import OK

PROCESSES = 8
CHANGES = 1_000
KILLS = 20


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_eight_processes_change_one_deployment_a_thousand_times(seeded: Path) -> None:
    process, target = start(seeded)
    with RegistryClient(target, actor=ACTOR) as client:
        client.change("fraud", DeployChampion(1), reason="a test", expect_revision=0)
        share = CHANGES // PROCESSES
        words = [sys.executable, "-m", "tests.registry.change_maker", target]
        operators = [
            subprocess.Popen([*words, str(number), str(share)], stdout=subprocess.DEVNULL)
            for number in range(PROCESSES)
        ]
        assert {each.wait(timeout=20 * LIMIT_S) for each in operators} == {OK}

        history = client.list_revisions("fraud")
        audit = client.list_audit()

    assert end(process) == OK
    assert [each.deployment.revision for each in history] == list(range(1, share * PROCESSES + 2))
    assert {each.reason for each in history[1:]} == {
        reason_of(number, 1 + done) for number in range(PROCESSES) for done in range(share)
    }
    assert audit.chain_intact, audit.faults


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.fault
def test_a_registry_killed_at_any_point_has_nothing_half_done(seeded: Path) -> None:
    chance = random.Random(16)
    answered: list[int] = []  # revisions
    registered: list[int] = []  # versions of another model
    for kill in range(KILLS):
        process, target = start(seeded)
        calls = Calls()
        worker = threading.Thread(target=_change_until_the_end, args=(target, calls))
        worker.start()
        calls.until(chance.randrange(4), longest_s=LIMIT_S)
        calls.gone.wait(chance.uniform(0, 0.05))  # a moment of its own for each kill
        end(process, signal.SIGKILL)
        worker.join(LIMIT_S)
        answered += calls.revisions
        registered += calls.versions

        process, target = start(seeded)
        with RegistryClient(target, actor=ACTOR) as client:
            client.wait_until_reachable()
            audit = client.list_audit()
            verified = client.verify()
            numbers = (
                [each.deployment.revision for each in client.list_revisions("fraud")]
                if answered
                else []
            )
            versions = (
                [each.ref.number for each in client.list_versions("loan")] if registered else []
            )
        assert end(process) == OK

        assert audit.chain_intact, (kill, audit.faults)
        assert not verified.faults, kill
        assert {*answered} <= {*numbers}
        assert numbers == list(range(1, len(numbers) + 1))
        assert {*registered} <= {*versions}
        assert versions == list(range(1, len(versions) + 1))
    assert len(answered) + len(registered) > KILLS


class Calls:
    """The answered calls of one life of the registry."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.versions: list[int] = []
        self.gone = threading.Event()  # the registry answers no more
        self._answered = threading.Semaphore(0)

    def add(self, numbers: list[int], number: int) -> None:
        numbers.append(number)
        self._answered.release()

    def until(self, count: int, *, longest_s: float) -> None:
        """Wait for this many answers."""
        for _ in range(count):
            assert self._answered.acquire(timeout=longest_s)


def _unlike(number: int) -> dict[str, Any]:
    """Return a record that no other registration has, so that each is a new version."""
    return record_with("people.contact", f"contact-{number}-{uuid4()}@lab")


def _change_until_the_end(target: str, calls: Calls) -> None:
    """Deploy, roll back and register until the registry is gone."""
    with RegistryClient(target, actor=ACTOR) as client:
        for number in range(10_000):
            try:
                if number % 8 == 3:
                    # Of another model: one with a champion asks for a comparison with it.
                    registered = client.register(new_version(_unlike(number), model="loan"))
                    assert registered.report.complete, registered.report
                    calls.add(calls.versions, registered.version.ref.number)
                    continue
                change = Rollback() if number % 5 == 4 else DeployChampion(1 + number % 2)
                made = client.change("fraud", change, reason="a test")
                calls.add(calls.revisions, made.revision)
            except RefusedError:  # e.g. it is in that state already, since the last kill
                continue
            except UnderstudyError:
                break
    calls.gone.set()
