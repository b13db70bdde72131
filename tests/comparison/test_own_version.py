"""A/A tests in the logs: each kind by its name, never guessed, never pooled with a pair of models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stack.__main__ import app
from tests.comparison.test_arms import live, measure, written
from tests.logs.builders import Share, outcome_batch, score_batch, shadow_batch
from understudy.comparison.compare import compare
from understudy.comparison.compare_arms import compare_live_arms
from understudy.comparison.decisions.own_version import NoiseKind
from understudy.comparison.decisions.verdict import Outcome
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.arm_texts import arm_facts, measure_tables
from understudy.domain.errors import InconclusiveError
from understudy.domain.margins import Margin, Margins, Measure
from understudy.logs.batches import LogBatch
from understudy.runtime import exit_codes

ROWS = 3_000
OWN, OTHER = Share("challenger", 7, 3_000), Share("challenger", 8, 3_000)
SPLIT = (Share("champion", 7, 4_000), OWN, OTHER)
MARGINS = Margins(Measure.BRIER, (Margin(Measure.BRIER, 0.1), Margin(Measure.MEAN_SCORE, 0.1)))
LABELS = [float(number % 5 == 0) for number in range(ROWS)]


def three_arms() -> list[LogBatch]:
    """Return rows of each arm, answered in it; the other model scores higher by 0.2."""
    random = np.random.default_rng(11)
    seats = random.choice(3, ROWS, p=[0.4, 0.3, 0.3])
    scores = random.normal(0.4, 0.1, ROWS)
    parts: list[LogBatch] = []
    for seat, (arm, version, higher) in enumerate(
        (("champion", 7, 0.0), ("challenger", 7, 0.0), ("challenger", 8, 0.2))
    ):
        numbers = np.flatnonzero(seats == seat)
        batch = live(
            np.zeros(numbers.size, np.bool_),
            scores[numbers] + higher,
            split=SPLIT,
            arm=arm,
            version=version,
            request_ids=[f"r{n}" for n in numbers],
            entity_ids=[f"u{n}" for n in numbers],
        )
        parts.append(replace(batch, seats=[int(seat)] * numbers.size))
    return parts


def test_an_own_arm_is_the_noise_of_assignment_beside_a_challenger(tmp_path: Path) -> None:
    root = written(tmp_path, *three_arms(), outcome_batch(LABELS))

    report = compare_live_arms(root, Question("fraud"), Plan(margins=MARGINS))
    own = compare_live_arms(root, Question("fraud", challenger=7), Plan(margins=MARGINS))

    assert (report.pair.challenger, report.noise_kind) == (8, None)
    assert measure(report, "mean score").difference.estimate == pytest.approx(0.2, abs=0.02)
    noise = measure(report, "mean score, A/A")
    assert noise == measure(own, "mean score")
    assert noise.difference.estimate == pytest.approx(0.0, abs=0.02)
    assert "mean score, A/A" in {row[0] for _, rows in measure_tables(report) for row in rows}
    assert (own.pair.challenger, own.pair.champion) == (7, 7)
    assert own.noise_kind is NoiseKind.ASSIGNMENT
    assert own.verdict is not None
    assert own.verdict.outcome is Outcome.EQUIVALENT
    told = "A/A: version 7 beside itself; differences are noise of assignment, not of models"
    assert ("warning", told) in arm_facts(own)
    assert not any(name.endswith("A/A") for name in own.comparison.measures)
    assert {own.challenger.answered_by_others, own.champion.answered_by_others} == {0}


def test_a_fault_of_the_own_arm_is_told_beside_the_challenger(tmp_path: Path) -> None:
    champion, own, other = three_arms()
    fewer = live(
        np.ones(100, np.bool_), np.full(100, 0.4), split=SPLIT, arm="challenger",
        request_ids=[f"s{n}" for n in range(100)], entity_ids=[f"s{n}" for n in range(100)],
    )  # fmt: skip
    assert own.rows > 5 * fewer.rows

    report = compare_live_arms(written(tmp_path, champion, fewer, other), Question("fraud"))

    assert report.comparison.refusals == ()
    assert any(text.startswith("A/A arm: sample ratio: 100 of") for text in report.warnings)


def test_a_row_that_falls_to_the_champions_arm_is_answered_by_another(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    split = (Share("champion", 7, 9_000), Share("challenger", 7, 1_000))

    report = compare_live_arms(
        written(tmp_path, live(seats, np.zeros(40), split=split)), Question("fraud", challenger=7)
    )

    assert (report.challenger.rows, report.challenger.answered_by_others) == (4, 4)
    assert report.champion.answered_by_others == 0


def test_a_log_of_nothing_but_a_a_tests_names_them_and_guesses_none(tmp_path: Path) -> None:
    split = (Share("champion", 7, 5_000), Share("challenger", 7, 5_000))
    scores = list(np.linspace(0, 1, 40))
    root = written(
        tmp_path,
        live(np.arange(40) % 2 == 1, np.array(scores), split=split),
        shadow_batch(scores, scores, shadow_version=7),
    )

    with pytest.raises(InconclusiveError, match=r"must be named: --shadow 7 --champion 7$"):
        compare(root, Question("fraud"))
    with pytest.raises(InconclusiveError, match=r"must be named: --challenger 7 --champion 7$"):
        compare_live_arms(root, Question("fraud"))
    assert compare(root, Question("fraud", shadow=7)).noise_kind is NoiseKind.RUNTIME


@pytest.mark.parametrize(("shift", "code"), [(0.0, exit_codes.OK), (0.3, exit_codes.FAILED)])
def test_a_verdict_on_a_version_that_differs_from_itself_is_no_good_one(
    tmp_path: Path, shift: float, code: int
) -> None:
    champion = np.linspace(0, 0.7, ROWS)
    margins = tmp_path / "margins.yaml"
    margins.write_text("primary: brier\nmargins: {brier: 0.01, mean_score: 0.01}\n")
    shadow = shadow_batch(list(champion), list(champion + shift), shadow_version=7)
    root = written(tmp_path / "logs", shadow, outcome_batch(LABELS))
    words = ["--log-dir", str(root), "--model", "fraud", "--margins", str(margins)]

    result = CliRunner().invoke(app, ["compare", *words, "--shadow", "7", "--champion", "7"])

    assert "noise of batching and runtime, not of models" in " ".join(result.stdout.split())
    assert result.exit_code == code, result.stderr


def test_both_kinds_of_a_a_test_are_never_asked_for_together(tmp_path: Path) -> None:
    root = written(tmp_path, score_batch(3))

    words = ["--log-dir", str(root), "--model", "fraud", "--shadow", "7", "--challenger", "7"]
    result = CliRunner().invoke(app, ["compare", *words])

    assert result.exit_code == exit_codes.USAGE
    assert "shadow: read 7" in result.stderr
