"""Models of every library: trained, registered, deployed, and scored as their library scores them."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stack.data_directory import DataDirectory
from stack.processes import loopback_addresses, open_stack
from tests.stack.waiting import until
from tests.train.repository import AUTHOR, make_repository, numbers
from understudy.client import AsyncScoringClient
from understudy.client.errors import ScoringError
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion
from understudy.domain.features import Feature, FeatureDtype, FeatureRef
from understudy.scoring.v1 import scoring_pb2 as pb
from understudy.train.decisions.agreement import differences
from understudy.train.decisions.kinds import ModelKind, score_output_of
from understudy.train.rows import read_rows
from understudy.train.served_model import ServedModel

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-exporters" / "bin" / "python"
EXPORTS = Path(__file__).parent / "exports"  # written by tests/train/exporters/author.py
KINDS = {
    "binary": ModelKind.BINARY,
    "classes": ModelKind.MULTICLASS,
    "amount": ModelKind.REGRESSION,
    "rank": ModelKind.RANKING,
    "texts": ModelKind.BINARY,
}
# Inputs whose names do not tell the columns that they read.
DECLARED = {
    "torch": ("x_num", "x_num", "x_num", "x_fill"),
    "sklearn": ("a", "b", "plan_of_user"),
}
LIMIT_S = 1_800.0


def authored(repository: Path, registry: str) -> list[dict[str, Any]]:
    """Run the trainings in the environment of the exporters; return their lines."""
    done = subprocess.run(
        [PYTHON, "-m", "tests.train.exporters.author", "register", str(repository), registry],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


async def scored(client: AsyncScoringClient, model: str, row: dict[str, Any]) -> float:
    """Return the model's own score of a row, once its scorer is there."""
    features = {name: value for name, value in row.items() if value is not None}
    found: list[float] = []

    async def is_answered() -> bool:
        try:
            answer = await client.score(model, {"user": "nowhere"}, features=features)
        except ScoringError:
            return False
        if answer.degradation.level <= pb.DEGRADATION_LEVEL_FEATURES:  # by the model
            found.append(answer.score)
        return bool(found)

    await until(is_answered)
    return found[-1]


@pytest.mark.parametrize("file", sorted(EXPORTS.glob("*.onnx")), ids=lambda file: file.stem)
def test_an_export_is_laid_out_and_scored_as_its_library_scores_it(file: Path) -> None:
    library, _, kind = file.stem.partition("_")
    names = ("a", "b", "plan-of-user") if library == "sklearn" else ("a", "b", "c", "d")
    types = {"plan-of-user": FeatureDtype.STRING}
    features = [Feature(name, types.get(name, FeatureDtype.FLOAT32)) for name in names]
    refs = [FeatureRef("user", 1, name) for name in names]
    declared = DECLARED.get(library, ())
    with np.load(file.with_suffix(".npz")) as stored:
        rows = read_rows(stored["x"].astype(object), features, "rows")
        expected = stored["scores"]

    model = ServedModel(file, refs, features, column_inputs=declared)
    score = score_output_of(model.outputs, KINDS[kind], 2 if kind == "classes" else None)

    assert differences(expected, model.scores(score, rows.columns)).max() < 1e-5


def test_there_are_exports_of_every_library() -> None:
    libraries = {file.stem.partition("_")[0] for file in EXPORTS.glob("*.onnx")}

    assert libraries == {"lightgbm", "xgboost", "catboost", "sklearn", "torch"}


@pytest.mark.long
async def test_a_champion_scores_as_its_library_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_UNPROVEN", "true")  # the author is a name of the test's
    features = [*numbers(("a", "b", "c", "d")), {"name": "plan-of-user", "dtype": "string"}]
    repository, addresses = make_repository(tmp_path / "r", features), loopback_addresses()
    async with (
        open_stack(DataDirectory(tmp_path / "s"), addresses, workers=1),
        AsyncScoringClient(addresses.router, timeout_s=60.0) as client,
    ):
        lines = await asyncio.to_thread(authored, repository.root, addresses.registry)
        with RegistryClient(addresses.registry, actor=AUTHOR) as registry:
            for line in lines:
                await asyncio.to_thread(
                    registry.change,
                    line["model"],
                    DeployChampion(line["version"]),
                    reason="a test",
                    expect_revision=0,
                )
        found = {
            line["model"]: [await scored(client, line["model"], row) for row in line["rows"]]
            for line in lines
        }

    assert {line["model"].partition("_")[0] for line in lines} >= {
        *("lightgbm", "xgboost", "catboost", "sklearn", "torch")
    }
    for line in lines:
        assert found[line["model"]] == pytest.approx(line["scores"], rel=1e-4, abs=1e-5), line
