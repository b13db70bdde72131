"""A registry process, and the operators' commands against it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from registry.cli.commands import app
from tests.registry.operator import LIMIT_S
from tests.registry.samples import VIEW, trained
from understudy.runtime.exit_codes import OK

REASON = ("--reason", "a test")


def start(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a registry process; return it and its address once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "registry", "serve", "--dir", directory, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "registry_opened":
            return process, f"127.0.0.1:{event['port']}"
    raise AssertionError(f"the registry ended with {process.wait()}")


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    process.communicate(timeout=LIMIT_S)
    return process.returncode


def command(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def json_of(*words: str) -> Any:
    result = command(*words, "--output", "json")
    assert result.exit_code == OK, result.stderr
    return json.loads(result.stdout)


def registration(tmp_path: Path, record: dict[str, Any]) -> tuple[str, ...]:
    provenance = tmp_path / "provenance.json"
    provenance.write_text(json.dumps(record))
    features = [
        {"name": f.name, "dtype": f.dtype.value, "default": f.default} for f in VIEW.features
    ]
    view = {"name": "patient", "version": 1, "entity": "patient", "features": features}
    views = tmp_path / "views.yaml"
    views.write_text(yaml.safe_dump({"views": [view]}))
    return (
        "fraud",
        *("--artifact", str(trained().artifact_dir)),
        *("--provenance", str(provenance)),
        *("--views", str(views)),
        *("--score-output", "probabilities:1"),
    )
