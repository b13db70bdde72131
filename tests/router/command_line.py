"""The router's commands, started like an operator does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_router(
    *words: str, environment: dict[str, str] | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m router` to its end; `given` is its standard input."""
    return subprocess.run(
        [sys.executable, "-m", "router", *words],
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        check=False,
    )
