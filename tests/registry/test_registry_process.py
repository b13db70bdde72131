"""The registry as a process: its start, its end, and its files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from registry.cli.commands import app
from tests.in_process import run_command
from tests.registry.commands import end, start
from tests.registry.operator import LIMIT_S
from tests.registry.samples import ACTOR
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion, SetCanary
from understudy.runtime.exit_codes import OK, UNAVAILABLE, USAGE


@pytest.mark.long
@pytest.mark.fault
def test_a_killed_registry_keeps_answered_changes(seeded: Path) -> None:
    process, target = start(seeded)
    with RegistryClient(target, actor=ACTOR) as client:
        client.wait_until_reachable()
        client.change("fraud", DeployChampion(1), reason="a test")
        answered = client.change("fraud", SetCanary(2, 100), reason="a test")
    end(process, signal.SIGKILL)

    process, target = start(seeded)
    with RegistryClient(target, actor=ACTOR) as client:
        kept = client.get_deployment("fraud")
        log = client.list_audit()
    assert end(process) == OK
    assert kept.digest == answered.after.digest
    assert log.chain_intact


def test_an_open_watch_does_not_delay_the_shutdown(seeded: Path) -> None:
    process, target = start(seeded)
    with RegistryClient(target, actor=ACTOR) as client:
        watch = client.watch("test")
        assert next(watch).sequence

        assert end(process) == OK
        assert list(watch) == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"REGISTRY_WORKERS": "0"}, "REGISTRY_WORKERS: read '0'; accepted: greater"),
        (
            {"REGISTRY_LISTN": "x"},
            "REGISTRY_LISTN: read an unknown setting; accepted: REGISTRY_LISTEN",
        ),
        ({}, "neither identities nor unproven"),
        ({"REGISTRY_UNPROVEN": "true", "REGISTRY_IDENTITIES": "i.json"}, "no effect"),
    ],
)
def test_bad_settings_end_before_a_port_is_bound(
    tmp_path: Path, variables: dict[str, str], says: str
) -> None:
    done = run_command(app, "serve", "--dir", str(tmp_path / "data"), environment=variables)

    assert done.exit_code == USAGE
    assert says in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_is_reported_in_one_line(unchanged: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "registry", "serve", "--dir", str(tmp_path), "--listen", unchanged],
        env={**os.environ, "REGISTRY_UNPROVEN": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )

    assert done.returncode == UNAVAILABLE
    assert "cannot be bound" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr


def test_the_files_of_a_registry_are_accessible_only_to_its_user(tmp_path: Path) -> None:
    directory = tmp_path / "registry"
    process, _ = start(directory)
    assert end(process) == OK

    kept = [directory, *directory.rglob("*")]
    assert {"registry.sqlite", "artifacts"} <= {path.name for path in kept}
    assert [str(path) for path in kept if path.stat().st_mode & 0o077] == []
