"""Margins in the registry: written with a shadow, read with their origin, judged by default."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import AT_US, outcome_batch, shadow_batch
from tests.registry.commands import command
from understudy.control.client import RegistryClient
from understudy.control.recorded_margins import recorded_margins
from understudy.domain.margins import Measure
from understudy.logs.writer import LogWriter
from understudy.runtime.exit_codes import OK

REASON = ("--reason", "a test")


def test_margins_on_record_judge_a_shadow_and_name_their_author(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "margins.yaml"
    file.write_text("primary: auc\nmargins: {auc: 0.05, recall: 0.1}\n")
    assert command("deploy", "fraud@1", *REASON).exit_code == OK
    assert command("threshold", "fraud", "--value", "0.6", *REASON).exit_code == OK
    shadow = ("shadow", "fraud@2", "--margins", str(file))
    assert command(*shadow, *REASON).exit_code == OK
    # Later changes of other parts, and of the share, leave them as old as they are.
    monkeypatch.setenv("UNDERSTUDY_ACTOR", "another@lab")
    assert command("shadow", "fraud@2", "--sample", "50%", *REASON).exit_code == OK
    assert command("threshold", "fraud", "--value", "0.4", *REASON).exit_code == OK

    with RegistryClient(registry) as client:
        found = recorded_margins(client, "fraud", 2)
        assert recorded_margins(client, "fraud", 1) is None

    assert found is not None
    assert found.margins.of == {Measure.AUC: 0.05, Measure.RECALL: 0.1}
    assert (found.revision, found.threshold) == (3, 0.4)
    assert "margins: auc 0.05, recall 0.1" in command("status", "fraud").stdout
    compared = CliRunner().invoke(
        app, ["compare", "--log-dir", str(_logs(tmp_path)), "--model", "fraud"]
    )
    assert compared.exit_code == OK, compared.stderr
    assert "EQUIVALENT, for the threshold 0.4" in compared.stdout
    assert f"margins written down by {found.actor}" in compared.stdout
    assert "revision 3, after the first of these rows" in compared.stdout


def _logs(tmp_path: Path) -> Path:
    scores = [0.2, 0.3, 0.7, 0.8] * 500
    root = tmp_path / "logs"
    with LogWriter(root) as writer:
        batch = shadow_batch(scores, shadow_version=2, version=1, at_us=AT_US)
        assert writer.offer(batch)
        assert writer.offer(outcome_batch([0.0, 1.0, 0.0, 1.0] * 500))
    return root
