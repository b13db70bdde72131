"""Both kinds of A/A test from their declaration to their verdict, by commands over real processes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from stack.data_directory import DataDirectory
from stack.traffic import open_traffic
from stack.training import MODEL
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.understudy_command import output_of, running
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.changes import SetCanary, SetShadow
from understudy.domain.deployments import Arm
from understudy.runtime.exit_codes import FAILED, INCONCLUSIVE, OK

pytestmark = pytest.mark.long
CALLS = 500
EITHER = {OK: "EQUIVALENT", INCONCLUSIVE: "INCONCLUSIVE"}  # by the rows that a slow machine loses
MARGINS = "primary: brier\nmargins: {brier: 0.1, mean_score: 0.1}\n"


def compared(*words: str) -> tuple[int, str]:
    """Compare; return the exit code, and the output on one line."""
    result = CliRunner().invoke(app, words)
    return result.exit_code, " ".join(result.output.split())


async def change(deployed: Deployed, *words: str, revision: int) -> str:
    bound = ("--expect-revision", str(revision), "--reason", "an A/A test")
    address = deployed.stack.addresses.registry
    async with running("registry", *words, *bound, "--registry", address) as process:
        output = await output_of(process)
        assert process.returncode == OK, output
    return " ".join(output.split())


async def score_and_report(deployed: Deployed) -> set[tuple[Arm, int]]:
    """Make calls and report an outcome of each; return the arms and versions that answered."""
    router = deployed.stack.addresses.router
    async with open_traffic(
        router, model=MODEL, entity="patient", units=deployed.units, rate_per_s=200.0
    ) as traffic:
        await traffic.until_ended(CALLS)
    assert traffic.failures == []
    labels = {call.request_id: float(int(call.unit) % 2) for call in traffic.calls}
    async with AsyncScoringClient(router) as client:
        assert await client.record_outcomes(MODEL, labels) == len(labels)
    return {(call.arm, call.version) for call in traffic.calls}


async def test_a_version_beside_itself_in_both_ways_is_never_called_better_or_worse(
    tmp_path: Path,
) -> None:
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        await deployed.operator.change(SetShadow(2, 10_000), reason="a shadow")
        other = await deployed.operator.change(SetCanary(2, 3_000), reason="a challenger")
        await deployed.operator.until_settled(other)
        await change(deployed, "shadow", f"{MODEL}@1", "--sample", "100%", revision=other)
        shown = await change(
            deployed, "canary", f"{MODEL}@1", "--weight", "30%", revision=other + 1
        )
        answered = await score_and_report(deployed)
    logs = DataDirectory(tmp_path / "s").logs
    margins = tmp_path / "margins.yaml"
    margins.write_text(MARGINS)
    words = ("compare", "--log-dir", str(logs), "--model", MODEL, "--margins", str(margins))

    models = compared(*words)
    arms = compared(*words, "--challenger", "2")
    runtime = compared(*words, "--shadow", "1", "--champion", "1")
    assignment = compared(*words, "--challenger", "1")

    assert "@1 30% (A/A)" in shown
    assert "@1 100% (A/A)" in shown
    arms_seen = {(Arm.CHAMPION, 1), (Arm.CHALLENGER, 1), (Arm.CHALLENGER, 2)}
    assert answered == arms_seen
    assert models[0] in {OK, FAILED, INCONCLUSIVE}, "the only pair of two models is guessed"
    assert "shadow 2 against 1" in models[1]
    assert "noise, mean difference" in models[1]
    assert arms[0] in {OK, FAILED, INCONCLUSIVE}
    assert "mean score, A/A" in arms[1]
    for (code, output), noise in (
        (runtime, "noise of batching and runtime"),
        (assignment, "noise of assignment"),
    ):
        assert code in EITHER, output
        assert EITHER[code] in output
        assert f"version 1 beside itself; differences are {noise}, not of models" in output
