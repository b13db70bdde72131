"""One child process: how it is started and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.stack.waiting import until, until_gone, while_progress
from understudy.runtime.exit_codes import USAGE
from understudy.runtime.supervision import bound_to_parent
from understudy.runtime.supervision.child import Child, ChildSpec, start_child
from understudy.runtime.supervision.cpu_time import cpu_s_of_tree
from understudy.runtime.supervision.ending import Ending, ending_of

SLEEPS = "import time; time.sleep(600)"
IGNORES_SIGTERM = (
    f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); {SLEEPS}"
)
STARTS_ANOTHER = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "{SLEEPS}"]).pid, flush=True)
sys.stdin.close(); import time; time.sleep(600)
"""
BURNS_IN_A_CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "while True: pass"])
"""


def python(code: str, **facts: object) -> ChildSpec:
    return ChildSpec(("-u", "-c", code), **facts)  # type: ignore[arg-type]  # fields by name


async def said_by(child: Child, output: Path) -> str:
    """Return the first line that the child writes into `output`."""

    def first_line() -> str:
        lines = output.read_text().splitlines(keepends=True)
        return lines[0] if lines and lines[0].endswith("\n") else ""

    async def has_said() -> bool:
        assert child.exit_code is None
        return bool(first_line())

    await until(has_said)
    return first_line().rstrip()


async def test_a_child_ends_with_the_code_that_it_chose() -> None:
    child = await start_child(python("import sys; sys.exit(7)"))

    assert await while_progress(child.ended()) == 7
    assert await child.stop(kill_after_s=1.0) == 7


async def test_a_child_does_not_import_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "router.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)

    child = await start_child(python("import router"))

    assert await while_progress(child.ended()) == 0


async def test_a_child_that_heeds_no_sigterm_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "output"
    child = await start_child(python(IGNORES_SIGTERM, output=output))
    await said_by(child, output)

    assert await child.stop(kill_after_s=0.1) == -signal.SIGKILL


async def test_what_a_child_leaves_behind_in_its_session_ends_with_it(tmp_path: Path) -> None:
    output = tmp_path / "output"
    child = await start_child(python(STARTS_ANOTHER, output=output, own_session=True))
    grandchild = int(await said_by(child, output))

    await child.stop(kill_after_s=60.0)

    await until_gone([grandchild])


async def test_a_wait_for_a_child_ends_when_one_asks_to_stop() -> None:
    child = await start_child(python(SLEEPS))
    stop = asyncio.Event()
    waiting = asyncio.ensure_future(child.runs_on(None, stop))
    await asyncio.sleep(0)

    stop.set()

    assert await while_progress(waiting)
    await child.kill()


def test_a_child_whose_parent_died_before_it_could_ask_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    another_pid = str(os.getpid() + 1)

    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            bound_to_parent.__file__,
            another_pid,
            "15",
            "/usr/bin/touch",
            ran,
        ],
        check=False,
    )

    assert done.returncode == 1
    assert not ran.exists()


async def test_the_cpu_time_of_a_childs_children_counts() -> None:
    child = await start_child(python(BURNS_IN_A_CHILD, own_session=True))

    async def has_burnt() -> bool:
        return cpu_s_of_tree(child.pid) > psutil.Process(child.pid).cpu_times().user + 0.3

    await until(has_burnt)
    await child.kill()
    assert cpu_s_of_tree(child.pid) == 0.0


@pytest.mark.parametrize(
    ("exit_code", "ending"),
    [
        (0, Ending("exited with 0", 0)),
        (1, Ending("exited with 1", 1)),
        (-9, Ending("was killed by SIGKILL", -9)),
        (USAGE, Ending("refused its settings (exit code 64)", USAGE, refused=True)),
    ],
)
def test_only_refused_settings_make_another_start_useless(exit_code: int, ending: Ending) -> None:
    assert ending_of(exit_code) == ending
