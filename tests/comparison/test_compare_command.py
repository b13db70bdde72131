"""`understudy compare`: its output for people and for programs, its verdict and exit codes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import outcome_batch, shadow_batch
from understudy.logs.writer import LogWriter
from understudy.runtime import exit_codes

Run = Callable[..., tuple[int, str, str]]
ROWS = 3_000


@pytest.fixture
def run(log_dir: Path) -> Run:
    """Return a function that runs the command: exit code, stdout, stderr."""

    def invoke(*arguments: str | Path) -> tuple[int, str, str]:
        words = ["compare", "--log-dir", str(log_dir), *(str(each) for each in arguments)]
        result = CliRunner().invoke(app, words, prog_name="understudy")
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log four models: one equal to its champion, one worse, one that loses rows, and a few rows."""
    root = tmp_path_factory.mktemp("logs")
    random = np.random.default_rng(1)
    labels = (random.random(ROWS) < 0.3).astype(np.float64)
    champion = np.clip(0.3 * labels + random.normal(0.35, 0.12, ROWS), 0, 1)
    worse = np.clip(champion + random.normal(0, 0.3, ROWS), 0, 1)
    answered = champion < np.quantile(champion, 0.95)
    nothing = np.full(ROWS, np.nan)
    with LogWriter(root) as writer:
        for model, shadow in (("equal", champion), ("worse", worse)):
            assert writer.offer(shadow_batch(list(champion), list(shadow), model=model))
            assert writer.offer(outcome_batch(list(labels), model=model))
        for status, rows in (("ok", answered), ("timeout", ~answered)):
            ids = [f"r{row}" for row in np.flatnonzero(rows)]
            shadow = champion if status == "ok" else nothing
            batch = shadow_batch(
                list(champion[rows]), list(shadow[rows]), model="lossy", status=status,
                request_ids=ids, entity_ids=ids,
            )  # fmt: skip
            assert writer.offer(batch)
        assert writer.offer(shadow_batch([0.1, 0.6], [0.15, 0.65], model="few"))
        assert writer.offer(shadow_batch([0.1], model="few", first=2, shadow_version=12))
    return root


@pytest.fixture
def margins(tmp_path: Path) -> Path:
    file = tmp_path / "margins.yaml"
    file.write_text("primary: auc\nmargins: {auc: 0.02, recall: 0.05, brier: 0.01}\n")
    return file


def test_a_comparison_is_shown_with_its_intervals(run: Run) -> None:
    code, shown, _ = run("--model", "equal", "--threshold", "0.5", "--cost", "fp=1,fn=20")

    assert code == exit_codes.OK
    for text in (
        "shadow 9 against 7",
        "3000 pairs of 3000 requests, 3000 units",
        "3000 of 3000 rows that it was to score (100.00%)",
        "no row was lost",
        "+0.000000 [+0.000000, +0.000000]",
        "no row flips",
        "AUC",
        "recall at equal alarms",
        "cost per row",
        "log loss",
    ):
        assert text in shown


def test_a_comparison_is_json_for_programs(run: Run) -> None:
    code, text, _ = run(
        "--model", "worse", "--shadow", "9", "--champion", "7", "--since", "2026-11-18",
        "--output", "json",
    )  # fmt: skip

    report = json.loads(text)
    assert code == exit_codes.OK
    assert report["pair"]["first_at"] == "2026-11-18T11:06:40"
    assert report["rows"]["pairs"] == ROWS
    assert report["quality"]["classes"]["auc"]["difference"]["upper"] < 0
    assert len(report["worst"]) == 10
    assert report["verdict"] is None


def test_an_equal_shadow_is_equivalent_within_its_margins(run: Run, margins: Path) -> None:
    code, shown, _ = run("--model", "equal", "--threshold", "0.5", "--margins", margins)

    assert code == exit_codes.OK
    assert "EQUIVALENT, for the threshold 0.5: all measures are within their margins" in shown


def test_a_worse_shadow_is_shown_and_ends_with_a_failed_check(run: Run, margins: Path) -> None:
    code, shown, told = run("--model", "worse", "--threshold", "0.5", "--margins", margins)

    assert code == exit_codes.FAILED
    assert "WORSE, for the threshold 0.5" in shown
    assert "worse: auc" in told


def test_decisions_are_shown_at_each_threshold_and_the_verdict_holds_for_the_first(
    run: Run, margins: Path
) -> None:
    code, shown, _ = run(
        "--model", "equal", "--threshold", "0.5", "--threshold", "0.7", "--margins", margins
    )

    assert code == exit_codes.OK
    assert "EQUIVALENT, for the threshold 0.5: " in shown
    for title in ("decisions at 0.5, which acts", "decisions at 0.7, asked for"):
        assert shown.count(title) == 2  # with outcomes, and without


def test_rows_that_were_lost_by_their_score_allow_no_conclusion(run: Run, margins: Path) -> None:
    code, shown, told = run("--model", "lossy")

    assert code == exit_codes.INCONCLUSIVE
    assert "2850 of 3000 rows that it was to score (95.00%)" in shown
    assert "rows were lost by their score" in told


def test_too_large_a_loss_allows_no_conclusion(run: Run) -> None:
    code, _, told = run("--model", "lossy", "--least-kept", "0.99")

    assert code == exit_codes.INCONCLUSIVE
    assert "95.0% of the rows that it was to score; at least 99.0% are needed" in told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--model", "churn"), exit_codes.INCONCLUSIVE, "no row of churn that fits"),
        (("--model", "few"), exit_codes.USAGE, "one of --shadow 12 --champion 7 (1 rows"),
        (("--model", "few", "--shadow", "12"), exit_codes.INCONCLUSIVE, "1 pairs are too few"),
        (("--model", "No!"), exit_codes.USAGE, "understudy: model: read 'No!'"),
        (("--model", "equal", "--since", "soon"), exit_codes.USAGE, "since: read"),
        (("--model", "equal", "--until", "soon"), exit_codes.USAGE, "until: read"),
        (("--model", "equal", "--maturity", "2026"), exit_codes.USAGE, "maturity: read"),
        (("--model", "equal", "--cost", "5"), exit_codes.USAGE, "cost: read '5'"),
        (("--model", "equal", "--cost", "fp=1..2,fn=3"), exit_codes.USAGE, "cost: read"),
    ],
)
def test_an_expected_failure_is_one_line_and_an_exit_code(
    run: Run, words: tuple[str, ...], code: int, told: str
) -> None:
    found, _, err = run(*words)

    assert found == code
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a mapping with primary and margins"),
        ("[1]", "a mapping with primary and margins"),
        ("primary: {", "a YAML file"),
        ("primary: auc\nmargins: {auc: 0.1, recall: 0.1}\n", "margins.recall: read no threshold"),
    ],
)
def test_margins_that_cannot_act_are_refused(
    run: Run, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "margins.yaml"
    file.write_text(text)

    code, _, err = run("--model", "equal", "--margins", file)

    assert code == exit_codes.USAGE
    assert told in err
