"""Programs in other languages that call a router which this process serves."""

import asyncio
import shutil
from pathlib import Path

import pytest

LIMIT_S = 300.0


def require(*programs: str) -> None:
    """Skip the test if a program is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed, for a client in another language: {', '.join(missing)}")


async def output_of(*command: str | Path, cwd: Path) -> str:
    """Return the output of `command`, which this process serves meanwhile."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode == 0, f"{command}\n{output.decode()}\n{errors.decode()}"
    return output.decode()
