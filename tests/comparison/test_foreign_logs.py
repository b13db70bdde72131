"""Logs with numbers and outcomes as analysts have them: each is used, or counted where it is not."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.test_arms import live, written
from tests.logs.builders import AT_US, DAY_US, outcome_batch, shadow_batch
from understudy.comparison.compare import compare
from understudy.comparison.compare_arms import compare_live_arms
from understudy.comparison.evidence.rows import OutcomeCensus, Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.arm_page import arm_page_of
from understudy.comparison.render.page import page_of

ROWS = 40
SEATS = np.arange(ROWS) % 4 == 0
ODD = np.array([np.nan, np.inf, -np.inf, 1e200, -1e61])
PLAN = Plan(threshold=0.5, least_kept=0.1)


def test_scores_of_which_no_square_is_a_number_are_counted_and_left_out(tmp_path: Path) -> None:
    scores = np.linspace(0.1, 0.9, ROWS)
    odd_shadow, odd_champion = scores.copy(), scores.copy()
    odd_shadow[:5], odd_champion[10:15] = ODD, ODD
    of_arms = scores.copy()
    of_arms[np.flatnonzero(SEATS)[:5]] = ODD
    root = written(
        tmp_path,
        shadow_batch(list(odd_champion), list(odd_shadow)),
        live(SEATS, of_arms),
        outcome_batch([0.0, 1.0] * (ROWS // 2)),
    )

    pairs = compare(root, Question("fraud"), PLAN)
    arms = compare_live_arms(root, Question("fraud"), PLAN)

    assert (pairs.rows.pairs, pairs.rows.not_finite) == (ROWS - 10, 10)
    assert (pairs.coverage.sent, pairs.coverage.lost) == (ROWS - 5, 5)  # the champion's are known
    assert pairs.scores is not None
    kept = np.r_[scores[5:10], scores[15:]]
    assert pairs.scores.mean.champion.estimate == pytest.approx(kept.mean(), rel=1e-12)
    assert (arms.challenger.rows, arms.challenger.not_finite) == (ROWS // 4 - 5, 5)
    found = arms.comparison.measures["mean score"].challenger.estimate
    assert found == pytest.approx(scores[SEATS][5:].mean(), rel=1e-12)
    for page in (page_of(pairs), arm_page_of(arms)):
        shown, _ = page.split("<h2>Queries")
        assert not re.search(r"\b(nan|inf)\b", shown, flags=re.IGNORECASE)


def test_outcomes_that_are_classes_and_others_are_told(tmp_path: Path) -> None:
    labels = [0.0, 1.0] * (ROWS // 2)
    labels[7] = 2.0
    scores = np.linspace(0.1, 0.9, ROWS)
    batches = shadow_batch(list(scores)), live(SEATS, scores), outcome_batch(labels)
    root = written(tmp_path, *batches)

    pairs = compare(root, Question("fraud"))
    arms = compare_live_arms(root, Question("fraud"))

    told = "1 of 40 outcomes are neither 0 nor 1, so all count as numbers: there is no AUC"
    for warnings in (pairs.coverage.warnings, arms.warnings):
        assert any(each.startswith(told) for each in warnings)
    assert pairs.quality is not None
    assert pairs.quality.classes is None
    assert pairs.curves is not None
    assert pairs.curves.champion is None


def test_outcomes_of_arms_are_counted_by_their_fate(tmp_path: Path) -> None:
    scores, day = np.linspace(0.1, 0.9, ROWS), timedelta(days=1)
    young = live(
        SEATS, scores, at_us=AT_US + 3 * DAY_US, request_ids=[f"y{n}" for n in range(ROWS)]
    )
    root = written(
        tmp_path,
        live(SEATS, scores),
        young,
        outcome_batch([1.0, 0.0, 0.5, 1e90]),  # of one row of the challenger, and three others
        outcome_batch([0.0], observed_at_us=np.array([AT_US + DAY_US])),  # contradicts the first
        outcome_batch([1.0], first=8, observed_at_us=np.array([AT_US - DAY_US])),
        outcome_batch([1.0], request_ids=["y0"]),
    )
    answered_before = datetime(2026, 11, 18) + 2 * day  # noqa: DTZ001 - as the logs have it

    report = compare_live_arms(root, Question("fraud", matured_before=answered_before))

    of_challenger = OutcomeCensus(
        matched=2, unmatched=18, duplicates=1, conflicting=1, observed_before_answer=1,
        not_binary=0, of_candidates=0, of_several_units=0, immature=10,
    )  # fmt: skip
    assert report.challenger.outcomes == of_challenger
    of_champion = report.champion.outcomes
    assert (of_champion.matched, of_champion.not_binary, of_champion.immature) == (2, 1, 30)
    outcome = report.comparison.measures["mean outcome"].challenger.estimate
    assert outcome == pytest.approx(0.5)  # the latest of the two that disagree, and 1
