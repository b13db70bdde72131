"""The limits of a stop."""

import asyncio
import signal
import sys

import pytest
import structlog

from understudy.runtime.exit_codes import FAILED
from understudy.runtime.lifecycle import within

LIMIT_S = 60.0

_STOP_THAT_HANGS = """
import asyncio, sys, time
from understudy.runtime.lifecycle import run, stop_on_signals
async def main():
    stop = stop_on_signals(longest_s=0.1)
    print("ready", flush=True)
    await stop.wait()
    if sys.argv[1] == "loop":
        time.sleep(600)
    await asyncio.to_thread(time.sleep, 600)
    return 0
sys.exit(run(main))
"""


@pytest.mark.virtual_time
async def test_a_step_that_does_not_end_is_left_and_logged() -> None:
    with structlog.testing.capture_logs() as lines:
        await within(5.0, "closing the store", asyncio.Event().wait())

    assert lines == [
        {
            "event": "stop_step_overran",
            "step": "closing the store",
            "limit_s": 5.0,
            "log_level": "error",
        }
    ]


async def test_a_failure_of_a_step_is_not_taken_for_its_limit() -> None:
    async def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await within(LIMIT_S, "a step", fails())


@pytest.mark.fault
@pytest.mark.parametrize("stuck", ["loop", "thread"])
async def test_a_process_whose_stop_hangs_ends_at_its_limit(stuck: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _STOP_THAT_HANGS, stuck), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), LIMIT_S) == b"ready\n"

    process.send_signal(signal.SIGTERM)
    said, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)

    assert process.returncode == FAILED
    assert b"stop_overran" in said
