"""The supervisor, with real processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.stack.waiting import until_gone, while_progress
from understudy.domain.errors import Fault, InvalidInputError, UnavailableError
from understudy.domain.liveness import LivenessPolicy
from understudy.domain.progress import Patience
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

pytestmark = pytest.mark.fault
LIMIT_S = 60.0


def a_process(name: str, manner: str = "obliging") -> ProcessSpec:
    address = f"127.0.0.1:{free_port()}"
    return ProcessSpec(name, ("-m", "tests.runtime.health_server", address, manner), address)


async def test_a_started_process_is_healthy_and_ends_with_the_block(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(a_process("one"))
        pid = supervisor.pids()["one"]
        assert psutil.pid_exists(pid)

    await until_gone([pid])


async def test_a_process_that_ends_at_its_start_is_reported_with_its_last_line(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(UnavailableError, match=r"one exited with 3; .*nothing works"):
            await supervisor.start(a_process("one", "fails"))


async def test_a_process_that_refuses_its_settings_is_reported_with_all_its_faults(
    tmp_path: Path,
) -> None:
    refusing = a_process("one", "refuses")
    async with Supervisor(tmp_path) as supervisor:
        supervisor.log_path("one").write_text("understudy: OLD: read 1; accepted: 2\n")
        with pytest.raises(InvalidInputError) as refused:
            await supervisor.start(refusing)

    assert refused.value.faults == (
        Fault("one: ROUTER_LISTN", "an unknown setting", "ROUTER_LISTEN"),
        Fault("one: ROUTER_WORKERS", "'0'", "greater than or equal to 1"),
    )


async def test_a_refusal_in_another_form_is_reported_with_its_last_line(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(InvalidInputError, match="one: settings: read nothing suits me"):
            await supervisor.start(a_process("one", "refuses-in-its-way"))


async def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, patience=Patience(stalled_after_s=1.0)) as supervisor:
        with pytest.raises(UnavailableError, match="one was not ready: no progress for"):
            await supervisor.start(a_process("one", "never-ready"))
        pid = supervisor.pids()["one"]

    await until_gone([pid])


async def test_processes_stop_in_reverse_order(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    first, second = a_process("first", str(marks)), a_process("second", str(marks))

    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(first)
        await supervisor.start(second)

    assert marks.read_text().split() == [second.health_target, first.health_target]


async def test_a_process_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, stop_limit_s=0.3) as supervisor:
        await supervisor.start(a_process("one", "stubborn"))
        pid = supervisor.pids()["one"]
        await supervisor.stop("one")

        await until_gone([pid])
        assert supervisor.pids() == {}


async def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(a_process("one"))
        os.kill(supervisor.pids()["one"], signal.SIGKILL)

        ended = await asyncio.wait_for(supervisor.until_one_ends(), LIMIT_S)

        assert ended.name == "one"
        assert ended.why.startswith("one was killed by SIGKILL")
        assert not ended.refused


async def test_a_process_that_hangs_is_reported_and_killed(tmp_path: Path) -> None:
    at_once = LivenessPolicy(interval_s=0.05, timeout_s=0.2, misses=3)
    async with Supervisor(tmp_path, liveness=at_once) as supervisor:
        await supervisor.start(a_process("one"))
        pid = supervisor.pids()["one"]
        os.kill(pid, signal.SIGSTOP)

        ended = await while_progress(supervisor.until_one_ends())

        assert ended.why.startswith("one hung: 3 liveness probes without an answer; see ")
        assert not ended.refused
        await until_gone([pid])


_SERVES_BY_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
from tests.runtime.health_server import main
sys.exit(main(sys.argv[1], "obliging"))
"""


async def test_a_process_that_hangs_is_left_alone_while_its_children_serve(
    tmp_path: Path,
) -> None:
    at_once = LivenessPolicy(interval_s=0.05, timeout_s=0.2, misses=3)
    address = f"127.0.0.1:{free_port()}"
    spec = ProcessSpec("one", ("-c", _SERVES_BY_A_CHILD, address), address, serves_by_children=True)
    told = asyncio.Queue[str]()
    async with Supervisor(tmp_path, liveness=at_once) as supervisor:
        await supervisor.start(spec)
        pid = supervisor.pids()["one"]
        (child,) = psutil.Process(pid).children()
        os.kill(pid, signal.SIGSTOP)
        ending = asyncio.ensure_future(supervisor.until_one_ends(told.put_nowait))

        said = await while_progress(told.get())
        assert f"one (process {pid}) hangs; the processes that it started still serve" in said
        assert child.is_running()
        child.kill()
        ended = await while_progress(ending)

        assert ended.why.startswith("one hung: ")
        assert told.empty()
        await until_gone([pid])


async def test_a_restarted_process_has_another_pid_and_the_same_address(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(a_process("one"))
        before = supervisor.pids()["one"]

        await supervisor.restart("one")

        assert supervisor.pids()["one"] != before


_PARENT = """
import asyncio, sys
from pathlib import Path
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor
async def main():
    async with Supervisor(Path(sys.argv[1])) as supervisor:
        address = sys.argv[2]
        spec = ProcessSpec(
            "one", ("-m", "tests.runtime.health_server", address, "obliging"), address
        )
        await supervisor.start(spec)
        print(supervisor.pids()["one"], flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_children_end_with_a_parent_that_was_killed(
    tmp_path: Path, number: signal.Signals
) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PARENT,
        str(tmp_path),
        f"127.0.0.1:{free_port()}",
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), LIMIT_S))

    parent.send_signal(number)
    await asyncio.wait_for(parent.wait(), LIMIT_S)

    await until_gone([child])
