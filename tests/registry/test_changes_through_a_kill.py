"""Changes by many processes at two registries over one PostgreSQL, one of which is killed."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from registry.store.postgresql import PostgresqlPlace
from tests.registry.change_maker import reason_of
from tests.registry.commands import end, start
from tests.registry.operator import LIMIT_S
from tests.registry.postgresql import Original, Server
from tests.registry.samples import ACTOR
from understudy.control.belief import Belief
from understudy.control.client import RegistryClient
from understudy.control.registry_watch import follow, open_registry_channel
from understudy.runtime.exit_codes import OK
from understudy.runtime.transport.transport import LOCAL

PROCESSES = 8
CHANGES = 240  # a thousand hold too, for four times the CPU
KILLED_AFTER = CHANGES // 2


@pytest.fixture
def database(original: Original, postgresql: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place: PostgresqlPlace = postgresql.copy_of(original.place)
    monkeypatch.setenv("REGISTRY_STORE", place.conninfo)


def changing(registry: str, number: int) -> "subprocess.Popen[str]":
    words = [sys.executable, "-m", "tests.registry.change_maker", registry]
    share = str(CHANGES // PROCESSES)
    return subprocess.Popen([*words, str(number), share], stdout=subprocess.PIPE, text=True)


def read_attempts(process: "subprocess.Popen[str]") -> dict[int, int]:
    """Return the attempt of each answered revision, when the process has ended."""
    output, _ = process.communicate(timeout=20 * LIMIT_S)
    assert process.returncode == OK
    return {
        int(revision): int(attempt) for revision, attempt in map(str.split, output.splitlines())
    }


@pytest.mark.long
@pytest.mark.fault
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("database")
async def test_no_change_is_lost_when_one_of_two_registries_is_killed(original: Original) -> None:
    (killed, first), (kept, second) = (start(original.directory) for _ in range(2))
    both, belief = (f"{first},{second}", f"{second},{first}"), Belief()
    operators = [changing(both[number % 2], number) for number in range(PROCESSES)]
    answers = asyncio.gather(*[asyncio.to_thread(read_attempts, each) for each in operators])
    watched: list[int] = []
    async with open_registry_channel(both[0], LOCAL) as channel:
        states = follow(channel, watcher="a test", belief=belief)
        async for state in states:
            watched.append(state.deployments[0].revision)
            if watched[-1] > KILLED_AFTER:
                os.kill(killed.pid, signal.SIGKILL)
                break
        attempts = await answers
        with RegistryClient(second, actor=ACTOR) as client:
            history = await asyncio.to_thread(client.list_revisions, "fraud")
            audit = await asyncio.to_thread(client.list_audit)
            faults = (await asyncio.to_thread(client.verify)).faults
        async for state in states:
            watched.append(state.deployments[0].revision)
            if watched[-1] == len(history):
                break
        assert channel.address == second
        await states.aclose()

    assert killed.wait(LIMIT_S) == -signal.SIGKILL
    assert end(kept) == OK
    revisions = {each.deployment.revision: each.reason for each in history}
    answered = {
        revision: reason_of(number, attempt)
        for number, of_one in enumerate(attempts)
        for revision, attempt in of_one.items()
    }
    assert [*revisions] == list(range(1, len(history) + 1)), "gapless"
    assert len(answered) == CHANGES, "no number names two changes"
    assert answered.items() <= revisions.items(), "no answered change is lost, or another's"
    # Those that were made, and whose answer was lost with the registry: at most one an operator.
    assert len(history) - 1 - CHANGES <= PROCESSES
    assert len({*revisions.values()}) == len(history), "no change was made twice"
    assert audit.chain_intact, audit.faults
    assert not faults
    assert watched == sorted(watched)
    assert belief.refused_states == 0
