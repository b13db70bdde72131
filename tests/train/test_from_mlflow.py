"""Models of a real local MLflow store are registered, with MLflow's facts in their records."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.registry.operator import served_registry
from tests.train.repository import AUTHOR, FEATURES, make_repository, numbers, rows_of
from tests.train.test_exporters import LIMIT_S, PYTHON, ROOT
from understudy.control.client import RegistryClient
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

pytestmark = pytest.mark.long

NAMES = ("sklearn_model", "lightgbm_model", "xgboost_model", "catboost_model", "onnx_model")
FACTS = """
window = [2025-01-01T00:00:00Z, 2025-07-01T00:00:00Z]
labels_matured_at = 2025-08-01T00:00:00Z
label = "the payment was disputed within 60 days"
intended_use = "tests of this project only"
repository = "https://git.example.org/fraud"
split = "random"
seed = 7
threshold = 0.5
decision_threshold = 0.5
fallback_score = 0.1
clean = true
command_line = ["python", "log_to_mlflow.py", "training.parquet"]
seeds = {split = 7}
machine = {os = "Linux 6.1", cpu = "x86_64, 8 cores", gpu = "no GPU"}
"""


def run(folder: Path, *arguments: str, expect: int = OK) -> str:
    """Run Python of the exporters' environment in `folder`, with the MLflow store beside it."""
    done = subprocess.run(
        [PYTHON, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "MLFLOW_TRACKING_URI": (folder.parent / "store").as_uri(),
            "MLFLOW_ALLOW_FILE_STORE": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    )
    assert done.returncode == expect, done.stdout + done.stderr[-3_000:]
    return done.stdout + (done.stderr if expect else "")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout with a script that has logged five models, and files of rows beside it."""
    place = tmp_path_factory.mktemp("mlflow")
    for name, seed in (("training", 1), ("evaluation", 2)):
        x, y = rows_of(seed)
        columns = {each: x[:, at] for at, each in enumerate(FEATURES)}
        parquet.write_table(pa.table({**columns, "label": y}), place / f"{name}.parquet")
    (place / "facts.toml").write_text(FACTS)
    (place / "of_a_file.toml").write_text(f'kind = "binary"\n{FACTS}')  # its class does not tell
    folder = place / "repository"
    folder.mkdir()
    copy(Path(__file__).parent / "exporters" / "log_to_mlflow.py", folder)
    made = make_repository(folder, numbers(default=0.0))
    run(made.root, "log_to_mlflow.py", "../training.parquet")
    return made.root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served_registry(tmp_path_factory.mktemp("registry")) as target:
        yield target


def imported(
    repository: Path, registry: str, name: str, *more: str, facts: str = "facts", expect: int = OK
) -> str:
    return run(
        repository,
        *("-m", "stack", "registry", "import-mlflow", f"models:/{name}@candidate"),
        *("--training", "../training.parquet", "--evaluation", "../evaluation.parquet"),
        *("--label", "label", "--facts", f"../{facts}.toml", "--registry", registry),
        *("--actor", AUTHOR, "--reason", "from MLflow", "--output", "json", *more),
        expect=expect,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_logged_model_is_registered_with_the_facts_of_its_run(
    repository: Path, registry: str, name: str
) -> None:
    facts = "of_a_file" if name == "onnx_model" else "facts"
    made = json.loads(imported(repository, registry, name, facts=facts))

    assert made["version"] == f"{name}@1"
    assert made["metrics"]["auc"] > 0.9
    assert made["in_mlflow"] == {"auc": 0.5}
    with RegistryClient(registry) as client:
        record: dict[str, Any] = json.loads(client.get_version(name, 1).provenance_json)
    head = ("git", "-C", str(repository), "rev-parse", "HEAD")
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert record["code"]["source"]["commit"] == commit
    assert record["code"]["command_line"] == ["python", "log_to_mlflow.py", "training.parquet"]
    assert record["code"]["entry_point"].endswith("log_to_mlflow.py")
    assert record["parameters"]["values"]["mlflow.library"] == name
    assert record["environment"]["os"] == "Linux 6.1"
    assert record["run"]["builder"].startswith("MLflow, ")


def test_facts_that_mlflow_lacks_are_asked_for_together(repository: Path, registry: str) -> None:
    (repository.parent / "empty.toml").write_text('split = "random"\n')

    said = imported(repository, registry, NAMES[0], facts="empty", expect=USAGE)

    for name in ("window", "labels_matured_at", "command_line", "machine", "fallback_score"):
        assert name in said


def test_a_checkout_that_may_have_been_dirty_is_asked_about(
    repository: Path, registry: str
) -> None:
    (repository.parent / "silent.toml").write_text(FACTS.replace("clean = true\n", ""))

    said = imported(repository, registry, NAMES[0], facts="silent", expect=REFUSED)

    assert "code.source.dirty" in said
