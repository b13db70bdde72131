"""A stack that runs: what ends is started again, or the stack ends and says why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stack.data_directory import DataDirectory
from stack.processes import Stack, loopback_addresses
from stack.up import stay
from tests.stack.understudy_command import output_of, running
from tests.stack.waiting import while_progress
from understudy.domain.errors import UnavailableError
from understudy.domain.restarts import RestartPolicy
from understudy.runtime import exit_codes
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

pytestmark = pytest.mark.fault
ONE_RESTART = RestartPolicy(
    first_back_off_s=0.01, longest_back_off_s=0.01, budget=1, window_s=3600.0
)
# Starts as often as there are lines in its file, then ends with 64.
_FAILS_THEN_REFUSES = """
import pathlib, sys
left = pathlib.Path(sys.argv[1]); lines = left.read_text().splitlines()
left.write_text("\\n".join(lines[1:]))
sys.exit(1 if lines else 64)
"""


async def test_a_process_that_fails_is_started_again_and_one_that_refuses_ends_the_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "left"
    left.write_text("once\ntwice")
    async with Supervisor(tmp_path) as supervisor:
        stack = Stack(DataDirectory(tmp_path), loopback_addresses(), supervisor)
        await supervisor.start(ProcessSpec("one", ("-c", _FAILS_THEN_REFUSES, str(left)), None))

        code = await while_progress(stay(stack))

    assert code == exit_codes.USAGE
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.startswith("understudy: one exited with 1")
    assert first.endswith("restarting it")
    assert second.endswith("restarting it")
    assert "refused its settings (exit code 64)" in last
    assert last.endswith("not restarted")


async def test_a_process_that_fails_over_and_over_ends_the_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Supervisor(tmp_path) as supervisor:
        stack = Stack(DataDirectory(tmp_path), loopback_addresses(), supervisor)
        await supervisor.start(ProcessSpec("one", ("-c", "raise SystemExit(1)"), None))

        code = await while_progress(stay(stack, ONE_RESTART))

    assert code == exit_codes.FAILED
    first, last = capsys.readouterr().err.splitlines()
    assert first.endswith("restarting it")
    assert last.endswith("gave up after 1 restarts in 3600 s")


async def test_settings_that_scorers_refuse_end_a_first_start_with_64_and_their_text(
    tmp_path: Path, unused_address: Callable[[], str]
) -> None:
    async with running(
        *("up", "--dir", str(tmp_path / "s")),
        *("--router-listen", unused_address(), "--registry-listen", unused_address()),
        SCORER_LISTN="x",
    ) as up:
        said = await output_of(up)

    assert up.returncode == exit_codes.USAGE
    assert "understudy: scorers: SCORER_LISTN: read an unknown setting; accepted: " in said
    assert "SCORER_LISTEN" in said


async def test_a_restart_that_fails_is_retried_within_the_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "left"
    left.write_text("once\ntwice")
    spec = ProcessSpec("one", ("-c", _FAILS_THEN_REFUSES, str(left)), health_target=None)
    never_ready = replace(spec, health_target="127.0.0.1:1")
    async with Supervisor(tmp_path) as supervisor:
        stack = Stack(DataDirectory(tmp_path), loopback_addresses(), supervisor)
        with pytest.raises(UnavailableError):
            await supervisor.start(never_ready)

        code = await while_progress(stay(stack))

    assert code == exit_codes.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 3
