"""Coverage, inputs and noise: the rows that were not compared, and differences that mean nothing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.logs.builders import AT_US, DAY_US, outcome_batch, score_batch, shadow_batch
from understudy.comparison.compare import ComparisonReport, compare
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.page import page_of
from understudy.logs.batches import LogBatch
from understudy.logs.writer import LogWriter

Log = Callable[..., None]
ROWS = 400
NOTHING = [float("nan")]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    def write(*batches: LogBatch) -> None:
        with LogWriter(tmp_path) as writer:
            for batch in batches:
                assert writer.offer(batch)

    return write


def scores(seed: int = 1) -> list[float]:
    found: list[float] = np.random.default_rng(seed).random(ROWS).tolist()
    return found


def report_of(root: Path, plan: Plan | None = None) -> ComparisonReport:
    return compare(root, Question("fraud"), plan)


def test_rows_that_the_mirror_dropped_are_lost(log: Log, tmp_path: Path) -> None:
    kept, lost = scores(), [0.99] * 100
    log(
        shadow_batch(kept),
        shadow_batch(lost, NOTHING * 100, first=ROWS, status="queue_full"),
        shadow_batch([0.5] * 300, NOTHING * 300, first=2 * ROWS, status="sampled_out"),
    )

    found = report_of(tmp_path).coverage

    assert (found.sent, found.kept, found.lost) == (500, 400, 100)
    assert "answered 80.0% of the rows that it was to score" in found.refusals[0]
    assert "rows were lost by their score" in found.refusals[1]
    assert [(each.status, each.rows) for each in found.causes] == [
        ("ok", 400),
        ("queue_full", 100),
        ("sampled_out", 300),
    ]
    assert [each.mean_score for each in found.causes][1:] == pytest.approx([0.99, 0.5])


def test_coverage_is_shown_for_each_day_of_a_long_log(log: Log, tmp_path: Path) -> None:
    log(
        shadow_batch(scores()),
        shadow_batch([0.2] * 5, NOTHING * 5, first=ROWS, status="timeout", at_us=AT_US + DAY_US),
        shadow_batch([0.2] * 9, first=2 * ROWS, at_us=AT_US + 3 * DAY_US),
    )

    found = report_of(tmp_path).coverage.periods

    assert [each.since.day for each in found] == [18, 19, 21]
    assert [(each.offered, each.answered, each.failed) for each in found] == [
        (ROWS, ROWS, 0),
        (5, 0, 5),
        (9, 9, 0),
    ]


def test_a_shadow_of_the_champions_own_version_is_noise_and_no_pair_to_guess(
    log: Log, tmp_path: Path
) -> None:
    champion = np.array(scores())
    again = champion + np.where(np.arange(ROWS) % 2, 1e-7, -1e-7)
    log(
        shadow_batch(list(champion), list(champion / 2)),
        shadow_batch(list(champion), list(again), shadow_version=7, at_us=AT_US + 1),
    )

    found = report_of(tmp_path, Plan(threshold=float(champion[0])))

    assert (found.pair.shadow, found.rows.pairs) == (9, ROWS)
    assert found.noise is not None
    assert found.noise.rows == ROWS
    assert found.noise.p99 == pytest.approx(1e-7, rel=1e-3)
    assert found.noise.distance.estimate == pytest.approx(1e-7, rel=1e-3)
    assert found.noise.flips is not None
    assert found.noise.flips.estimate == pytest.approx(1 / ROWS)  # the row at the threshold


def test_a_shadow_of_the_champions_own_version_is_compared_if_it_is_named(
    log: Log, tmp_path: Path
) -> None:
    log(shadow_batch(scores(), shadow_version=7), shadow_batch(scores()))

    found = compare(tmp_path, Question("fraud", shadow=7))

    assert (found.pair.shadow, found.pair.champion, found.noise) == (7, 7, None)


@pytest.mark.parametrize(("changed", "equal"), [(0, 1.0), (4, 0.99)])
def test_shadow_rows_are_checked_against_the_answers_that_they_mirror(
    log: Log, tmp_path: Path, changed: int, equal: float
) -> None:
    mirrored = np.array(scores())
    mirrored[:changed] += 0.1
    log(shadow_batch(list(mirrored)), score_batch(ROWS, scores=np.array(scores()), width=0))

    found = report_of(tmp_path).inputs

    assert (found.compared, found.absent) == (ROWS, 0)
    assert found.equal.estimate == pytest.approx(equal)
    assert found.equal.lower is not None
    assert found.equal.lower < equal


def test_a_score_log_that_lacks_the_answers_is_said_to(log: Log, tmp_path: Path) -> None:
    log(shadow_batch(scores()))

    found = report_of(tmp_path).inputs

    assert (found.absent, found.equal.estimate) == (ROWS, None)
    assert found.equal.why == "the score log has none of these answers"


def test_the_same_logs_give_the_same_bytes(log: Log, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    labels = (random.random(ROWS) < 0.4).astype(np.float64)
    units = [f"u{number}" for number in random.integers(0, 60, ROWS)]
    log(
        shadow_batch(scores(1), scores(2), entity_ids=units),
        score_batch(ROWS, scores=np.array(scores(1)), entity_ids=units, width=0),
        outcome_batch(list(labels)),
    )

    first, second = (page_of(report_of(tmp_path, Plan(threshold=0.5))) for _ in range(2))

    assert first == second
