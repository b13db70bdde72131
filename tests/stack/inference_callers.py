"""Stock clients of the inference protocol in processes of their own, unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.stack.waiting import while_progress

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = _ROOT / ".venv-clients" / "bin" / "python"
_SCRIPT = Path(__file__).parent / "clients" / "inference_caller.py"
_NO_LIMIT = 10**9


@dataclass
class Caller:
    kind: str
    process: asyncio.subprocess.Process
    ended: int = 0
    outcome: dict[str, Any] = field(default_factory=dict)

    async def until_ended(self, count: int) -> None:
        """Return once `count` calls have ended, or the process has."""
        while self.ended < count and not self.outcome:
            await while_progress(self._read_line())

    async def finish(self) -> dict[str, Any]:
        """Return the outcome: calls by version, and failures."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        while not self.outcome:
            await while_progress(self._read_line())
        await self.process.wait()
        return self.outcome

    async def _read_line(self) -> None:
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode()
        if line.startswith("{"):
            self.outcome = json.loads(line)
        elif line:
            self.ended = int(line)
        else:
            self.outcome = {"versions": {}, "failures": ["it ended without an outcome"]}


@asynccontextmanager
async def open_caller(
    kind: str, target: str, model: str, entity: str, units: Sequence[str], calls: int = _NO_LIMIT
) -> AsyncIterator[Caller]:
    """Start a caller, which calls until `finish`, or `calls` times."""
    if not _PYTHON.exists():
        pytest.fail("the stock clients are not installed: run `make clients`")
    process = await asyncio.create_subprocess_exec(
        *(_PYTHON, _SCRIPT, kind, target, model, entity, ",".join(units), str(calls)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Caller(kind, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
