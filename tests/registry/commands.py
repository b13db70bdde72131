"""A registry process, and the operators' commands against it."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import yaml
from typer.testing import CliRunner, Result

from registry.cli.commands import app
from tests.registry.operator import LIMIT_S
from tests.registry.samples import VIEW, trained
from understudy.control.client import RegistryClient
from understudy.domain.errors import UnderstudyError
from understudy.runtime.exit_codes import OK

REASON = ("--reason", "a test")
CHANGES = frozenset(
    {
        *("deploy", "shadow", "canary", "pause", "promote", "rollback", "undeploy"),
        *("fallback", "threshold", "rules", "place", "contract"),
    }
)


def start(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a registry process; return it and its address once it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "registry", "serve", "--dir", directory, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        env={**os.environ, "REGISTRY_UNPROVEN": "true"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "registry_opened":
            # A registry waits for those who read its log: a full pipe would stop it.
            threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
            return process, f"127.0.0.1:{event['port']}"
    raise AssertionError(f"the registry ended with {process.wait()}")


def _drain(output: IO[bytes]) -> None:
    with output:
        for _ in output:
            pass


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(timeout=LIMIT_S)


def command(*words: str) -> Result:
    """Run a command; a change is bound to the current revision, as after a look at the status."""
    is_bound = {"--dry-run", "--list", "--expect-revision"} & {*words}
    if words[0] in CHANGES and "--reason" in words and not is_bound:
        words = (*words, "--expect-revision", str(current_revision(words[1])))
    return CliRunner().invoke(app, words)


def current_revision(text: str) -> int:
    """Return the number of the newest revision, 0 if there is none."""
    with RegistryClient(os.environ.get("UNDERSTUDY_REGISTRY", "127.0.0.1:1")) as client:
        try:
            return client.list_revisions(text.partition("@")[0])[-1].deployment.revision
        except UnderstudyError:
            return 0  # the command will report it


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
