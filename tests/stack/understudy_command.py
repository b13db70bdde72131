"""The `understudy` command as an operator runs it: the installed script, in a separate folder."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.stack.waiting import while_progress

_SCRIPT = Path(sys.executable).with_name("understudy")


@asynccontextmanager
async def running(
    *arguments: str, cwd: Path | None = None, script: Path = _SCRIPT, **environment: str
) -> AsyncIterator[Process]:
    """Run `understudy ARGUMENTS` in a session of its own; kill what is left of it at the end.

    `script`: the command, by default that of the environment which runs the tests.
    """
    process = await asyncio.create_subprocess_exec(
        script,
        *arguments,
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def lines_until(process: Process, text: str) -> list[str]:
    """Return the output of the process up to a line with `text`."""
    assert process.stdout is not None
    lines: list[str] = []
    while not (lines and text in lines[-1]):
        line = await while_progress(process.stdout.readline())
        assert line, f"ended before {text!r}: {''.join(lines)}"
        lines.append(line.decode())
    return lines


async def output_of(process: Process) -> str:
    """Return the output of the process from now to its end."""
    output, _ = await while_progress(process.communicate())
    return output.decode()
