"""Loading uses one CPU, which serving scorers avoid; afterwards all may use all CPUs again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorer.decisions.cpu_division import CpuDivision, CpuUser, cpus_by_pid, divide_cpus
from scorer.host.loading_cpu import LoadingCpu
from scorer.machine.affinity import allowed_cpus, cpu_seconds_of, cpus_of, set_cpus
from tests.artifact.models import doubling_artifact
from tests.scorer.conftest import RunningProcess, StartHost
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.test_host import READY, REFUSED, all_ready, deployment
from tests.stack.waiting import until
from tests.virtual_time import skip, turns
from understudy.domain.versions import VersionRef
from understudy.registry.v1 import registry_pb2 as pb

ALLOWED = allowed_cpus()
LAST = frozenset({max(ALLOWED, default=0)})
OTHERS = ALLOWED - LAST
FAILING = pb.SCORER_STATE_FAILING

IDLE = "import sys; sys.stdin.read()"

two_cpus = pytest.mark.skipif(len(ALLOWED) < 2, reason="one CPU cannot be divided")
cpu_sets = st.frozensets(st.integers(0, 1_000), max_size=64)
cpu_counts = st.floats(0, 100)


@given(cpu_sets, cpu_counts, st.booleans())
def test_every_process_has_a_cpu(
    allowed: frozenset[int], busy_cpus: float, are_apart: bool
) -> None:
    division = divide_cpus(allowed, busy_cpus=busy_cpus, are_apart=are_apart)

    assert bool(division.loading) == bool(division.serving) == bool(allowed)
    assert division.loading | division.serving <= allowed
    assert len(division.loading) == min(1, len(allowed))


@given(cpu_sets.filter(lambda cpus: len(cpus) > 1), cpu_counts)
def test_serving_scorers_avoid_the_loading_cpu_only_if_they_fit_on_the_others(
    allowed: frozenset[int], busy_cpus: float
) -> None:
    division = divide_cpus(allowed, busy_cpus=busy_cpus)

    if division.serving != allowed:
        assert division.serving == allowed - division.loading
        assert busy_cpus <= len(division.serving) / 2
    else:
        assert busy_cpus > (len(allowed) - 1) / 2


@given(cpu_sets, st.lists(cpu_counts, min_size=2, max_size=2).map(sorted))
def test_the_threshold_to_return_is_higher_than_the_one_to_leave(
    allowed: frozenset[int], busy_cpus: list[float]
) -> None:
    less, more = busy_cpus
    when_more = divide_cpus(allowed, busy_cpus=more)

    assert len(divide_cpus(allowed, busy_cpus=more, are_apart=True).serving) <= len(
        when_more.serving
    )
    assert len(divide_cpus(allowed, busy_cpus=less).serving) <= len(when_more.serving)


def test_scorers_that_fill_the_other_cpus_get_all_cpus_back() -> None:
    allowed = frozenset({0, 1})

    assert divide_cpus(allowed, busy_cpus=0.6, are_apart=True).serving == {0}
    assert divide_cpus(allowed, busy_cpus=0.9, are_apart=True).serving == allowed


def test_the_host_moves_to_the_cpus_of_its_next_child() -> None:
    division = CpuDivision(loading=frozenset({3}), serving=frozenset({1, 2}))
    users = [CpuUser(0, keeps_apart=True), CpuUser(7, keeps_apart=True), CpuUser(8, False)]

    assert cpus_by_pid(users, division, host_pid=5) == {7: {3}, 8: {1, 2}, 5: {3}}


def threads_cpus(pid: int) -> set[frozenset[int]]:
    found: set[frozenset[int]] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # a thread that has ended in the meantime
            found.add(cpus_of(int(task.name)))
    return found


def option_of(pid: int, name: str) -> str:
    told = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return told[told.index(name) + 1]


@pytest.fixture
def our_cpus() -> Iterator[None]:
    """Restore the CPUs of this process after the test."""
    yield
    set_cpus(os.getpid(), ALLOWED)


@asynccontextmanager
async def child(code: str) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdin=asyncio.subprocess.PIPE
    )
    try:
        yield process.pid
    finally:
        process.kill()
        await process.wait()


def have_all(*pids: int) -> bool:
    return all(threads_cpus(pid) == {ALLOWED} for pid in pids)


async def until_all_have_all(*pids: int) -> None:
    async def they_have() -> bool:
        return have_all(*pids)

    await until(they_have)


async def until_it_has(pid: int, cpus: frozenset[int]) -> None:
    async def it_has() -> bool:
        return threads_cpus(pid) == {cpus}

    await until(it_has)


@two_cpus
@pytest.mark.stopped_clock
@pytest.mark.usefixtures("our_cpus")
async def test_the_division_lasts_a_moment_longer_than_the_load() -> None:
    async with child(IDLE) as pid:  # plays a serving scorer
        users = [CpuUser(pid, keeps_apart=False), CpuUser(0, keeps_apart=True)]
        now_s = asyncio.get_running_loop().time
        loading = LoadingCpu(ALLOWED, lambda: users, linger_s=2.0, now_s=now_s)
        loading.arrange()
        users.pop()
        loading.arrange()

        skip(1.9)
        await turns()
        assert threads_cpus(pid) == {OTHERS}

        skip(0.2)
        await turns()
        assert have_all(pid, os.getpid())


@two_cpus
@pytest.mark.stopped_clock
@pytest.mark.usefixtures("our_cpus")
async def test_a_scorer_that_becomes_busy_gets_all_cpus_back_while_another_loads() -> None:
    async with child(IDLE) as pid:
        users = [CpuUser(pid, keeps_apart=False), CpuUser(0, keeps_apart=True)]
        now_s = asyncio.get_running_loop().time
        loading = LoadingCpu(
            ALLOWED,
            lambda: users,
            every_s=1.0,
            linger_s=0,
            now_s=now_s,
            cpu_seconds=lambda _: now_s() * len(OTHERS),  # it fills the CPUs that it is left
        )
        loading.arrange()
        assert threads_cpus(pid) == {OTHERS}, "it was not known to be busy"

        arranging = asyncio.ensure_future(loading.keep_arranged())
        for _ in range(2):  # the second time there is a time before to compare with
            await turns()
            skip(1.0)
        await turns()
        arranging.cancel()

        assert threads_cpus(pid) == {ALLOWED}
        assert cpus_of(os.getpid()) == LAST
        users.pop()
        loading.arrange()
        assert have_all(pid, os.getpid())


async def test_the_cpu_time_of_a_busy_process_grows() -> None:
    async with child("while True: pass") as pid:

        async def has_used_some() -> bool:
            return (cpu_seconds_of(pid) or 0.0) > 0.0

        await until(has_used_some)


@pytest.mark.parametrize("allowed", [frozenset(), frozenset({min(ALLOWED, default=0)})])
async def test_without_two_cpus_nothing_is_touched(allowed: frozenset[int]) -> None:
    users = [CpuUser(os.getpid(), keeps_apart=True)]
    loading = LoadingCpu(allowed, lambda: users)

    loading.arrange()
    await loading.keep_arranged()

    assert threads_cpus(os.getpid()) == {ALLOWED}


@two_cpus
async def test_a_scorer_that_started_on_few_cpus_gets_all_even_if_nothing_loads_any_more() -> None:
    async with child(IDLE) as pid:
        set_cpus(pid, LAST)
        loading = LoadingCpu(ALLOWED, lambda: [CpuUser(pid, keeps_apart=False)])

        loading.arrange()

        assert threads_cpus(pid) == {ALLOWED}
        set_cpus(pid, OTHERS)
        loading.arrange()
        assert threads_cpus(pid) == {OTHERS}, "it was moved by hand"


@two_cpus
async def test_an_ended_process_causes_no_error() -> None:
    async with child("pass") as pid:
        pass

    set_cpus(pid, ALLOWED)
    LoadingCpu(ALLOWED, lambda: [CpuUser(pid, keeps_apart=False)]).arrange()

    assert cpu_seconds_of(pid) is None


@two_cpus
async def test_loading_and_serving_are_divided_until_the_version_is_ready(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    beside = Beside(registry, artifact, tmp_path)
    host = await beside.start(start_host)
    await beside.bring(artifact)
    loader = await beside.hold_loader()

    await until_it_has(beside.stays_pid, OTHERS)
    assert threads_cpus(loader) == threads_cpus(host.pid) == {LAST}
    assert option_of(loader, "--cpus") == str(len(ALLOWED)), "it plans for all of them"

    os.kill(loader, signal.SIGCONT)
    processes = await registry.until_reported(all_ready(2))
    await until_all_have_all(host.pid, *(process.pid for process in processes))


@pytest.mark.long
@two_cpus
@pytest.mark.fault
@pytest.mark.parametrize("load_ends", ["killed", "stuck", "withdrawn"])
async def test_all_cpus_are_restored_when_a_load_fails(
    load_ends: str,
    registry: FakeRegistry,
    start_host: StartHost,
    artifact: Path,
    tmp_path: Path,
) -> None:
    beside = Beside(registry, artifact, tmp_path)
    host = await beside.start(
        start_host,
        SCORER_HOST_RESTART_BUDGET="0",
        SCORER_HOST_STALLED_AFTER_S="3" if load_ends == "stuck" else "60",
        SCORER_HOST_KILL_AFTER_S="1",
        SCORER_HOST_DRAIN_GRACE_S="0.5",
    )
    await beside.bring(artifact)
    loader = await beside.hold_loader()
    await until_it_has(beside.stays_pid, OTHERS)

    if load_ends == "killed":
        os.kill(loader, signal.SIGKILL)
    elif load_ends == "withdrawn":
        await beside.withdraw()

    gone = (lambda ps: len(ps) == 1) if load_ends == "withdrawn" else beside.comes_is(FAILING)
    await registry.until_reported(gone)
    await until_all_have_all(host.pid, beside.stays_pid)


@pytest.mark.long
@two_cpus
@pytest.mark.fault
async def test_all_cpus_are_restored_when_a_version_is_refused(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    beside = Beside(registry, artifact, tmp_path)
    host = await beside.start(start_host)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.onnx").write_bytes(b"no model")

    await beside.bring(tmp_path / "bad")

    await registry.until_reported(beside.comes_is(REFUSED))
    await until_all_have_all(host.pid, beside.stays_pid)


@pytest.mark.long
@two_cpus
async def test_the_division_can_be_turned_off(
    registry: FakeRegistry, start_host: StartHost, artifact: Path, tmp_path: Path
) -> None:
    beside = Beside(registry, artifact, tmp_path)
    host = await beside.start(start_host, SCORER_HOST_LOAD_APART="false")

    await beside.bring(artifact)
    loader = await beside.hold_loader()

    for pid in (host.pid, beside.stays_pid, loader):
        assert threads_cpus(pid) == {ALLOWED}
    os.kill(loader, signal.SIGCONT)
    await registry.until_reported(all_ready(2))


class Beside:
    """A permanent version that serves while another is started next to it."""

    def __init__(self, registry: FakeRegistry, artifact: Path, folder: Path) -> None:
        self._registry = registry
        self._stays = registry.version(
            VersionRef("doubler", 1), doubling_artifact(folder / "stays")
        )
        self.stays_pid = 0

    async def start(self, start_host: StartHost, **env: str) -> RunningProcess:
        """Start a host; return it once the permanent version is ready."""
        await self.withdraw()
        host = await start_host(**env)
        (process,) = await self._registry.until_reported(all_ready(1))
        self.stays_pid = process.pid
        return host

    async def bring(self, artifact: Path) -> None:
        comes = self._registry.version(VersionRef("doubler", 2), artifact)
        await self._registry.publish([self._stays, comes], [deployment(1, standby=[2])])

    async def withdraw(self) -> None:
        await self._registry.publish([self._stays], [deployment(1)])

    async def hold_loader(self) -> int:
        """Stop the loading process with SIGSTOP; return its pid."""
        held: list[int] = []

        def hold(processes: list[pb.ScorerProcess]) -> bool:
            for process in processes:
                if process.ref.number == 2 and process.pid and process.state != READY:
                    os.kill(process.pid, signal.SIGSTOP)
                    held.append(process.pid)
            return bool(held)

        await self._registry.until_reported(hold)
        return held[0]

    @staticmethod
    def comes_is(state: "pb.ScorerState.ValueType") -> Callable[[list[pb.ScorerProcess]], bool]:
        return lambda processes: any(
            process.ref.number == 2 and process.state == state for process in processes
        )
