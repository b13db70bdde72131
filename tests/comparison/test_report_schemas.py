"""The schema of the reports: made from their types, and held by real documents."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # no stubs in the lock
import numpy as np
import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import Share, outcome_batch, score_batch, shadow_batch
from tools.report_schemas import FILE, schemas_text
from understudy.logs.writer import LogWriter

SPLIT = (Share("champion", 7, 5_000), Share("challenger", 9, 5_000))


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("logs")
    scores = np.linspace(0, 1, 90)
    seats = (np.arange(90) % 2).astype(np.uint16)
    with LogWriter(root) as writer:
        assert writer.offer(score_batch(90, scores=scores, split=SPLIT, seats=seats, width=0))
        assert writer.offer(shadow_batch(list(scores), list(scores**2)))
        assert writer.offer(outcome_batch([0.0, 1.0, 1.0] * 30))
    return root


def test_the_file_is_made_from_the_types_of_the_reports() -> None:
    assert FILE.read_text(encoding="utf-8") == schemas_text(), "make report-schemas"


@pytest.mark.parametrize(
    "words", [["--slice", "level"], ["--arms", "--slice", "hour"]], ids=["shadow", "arms"]
)
def test_a_document_holds_its_schema(log_dir: Path, tmp_path: Path, words: list[str]) -> None:
    margins = tmp_path / "margins.yaml"
    margins.write_text("primary: brier\nmargins: {brier: 0.01, recall: 0.05}\n")
    given = ["--margins", str(margins), "--threshold", "0.5", "--output", "json"]

    shown = CliRunner().invoke(
        app, ["compare", "--log-dir", str(log_dir), "--model", "fraud", *words, *given]
    )

    document, schema = json.loads(shown.stdout), json.loads(schemas_text())
    jsonschema.validate(document, _of(schema, words))
    assert document["verdict"]["judged"]


def _of(schema: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Return the part for the report, so that a fault names its field."""
    title = "ArmReport" if "--arms" in words else "ComparisonReport"
    (part,) = (each for each in schema["anyOf"] if each["title"] == title)
    return {**part, "$defs": schema["$defs"]}
