"""Live arms from the score log: by assignment, with the sample ratio, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics
from typer.testing import CliRunner

from stack.__main__ import app
from tests.logs.builders import AT_US, DAY_US, Share, outcome_batch, score_batch
from understudy.comparison.compare_arms import ArmReport, compare_live_arms
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.arm_page import arm_page_of
from understudy.comparison.render.arm_texts import arm_facts
from understudy.domain.errors import InconclusiveError, InvalidInputError
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.margins import Costs, Margins, Measure
from understudy.logs.batches import LogBatch, ScoreBatchLog
from understudy.logs.writer import LogWriter, WriterLimits
from understudy.runtime import exit_codes
from understudy.statistics.arms import ArmMeasure

Floats = NDArray[np.float64]
SECOND_US = 1_000_000
SPLIT = (Share("champion", 7, 9_000), Share("challenger", 8, 1_000))


def written(root: Path, *batches: LogBatch) -> Path:
    with LogWriter(root, limits=WriterLimits(gather_s=0.005)) as writer:
        for batch in batches:
            assert writer.offer(batch)
    return root


def live(seats: NDArray[np.bool_], scores: Floats, **given: object) -> ScoreBatchLog:
    """Return answered rows; a seat is true in the challenger's arm."""
    columns: dict[str, object] = {"split": SPLIT, "width": 0, "scores": scores}
    columns["seats"] = seats.astype(np.uint16)
    return score_batch(len(scores), **columns | given)  # type: ignore[arg-type]  # passed on


def measure(report: ArmReport, name: str) -> ArmMeasure:
    """Return a measure; of decisions, that at the threshold that acts."""
    comparison = report.comparison
    acting = comparison.decisions[0].measures if comparison.decisions else {}
    return {**comparison.measures, **acting}[name]


def test_the_numbers_are_those_of_the_rows_of_each_arm(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    seats = random.random(600) < 0.1
    labels = (random.random(600) < 0.4).astype(np.float64)
    scores = np.clip(0.3 * labels + random.random(600) * 0.6 + 0.02 * seats, 0, 1)
    root = written(tmp_path, live(seats, scores), outcome_batch(list(labels)))

    report = compare_live_arms(root, Question("fraud"), Plan(threshold=0.5))

    assert (report.pair.challenger, report.pair.champion) == (8, 7)
    assert (report.champion.units, report.challenger.units) == (sum(~seats), sum(seats))
    test = stats.ttest_ind(scores[seats], scores[~seats], equal_var=False)
    expected = test.confidence_interval(0.95)
    found = measure(report, "mean score").difference
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high), rel=1e-9)
    chosen = seats & (labels == 1)
    for name, value in (
        ("Brier", np.mean((scores - labels)[seats] ** 2)),
        ("recall", np.mean(scores[chosen] >= 0.5)),
        ("precision", np.mean(labels[seats & (scores >= 0.5)])),
        ("share of positive decisions", np.mean(scores[seats] >= 0.5)),
        ("share of positive outcomes", np.mean(labels[seats])),
    ):
        assert measure(report, name).challenger.estimate == pytest.approx(value, rel=1e-9)
    assert report.comparison.refusals == ()


def test_decisions_are_judged_at_each_threshold_and_the_verdict_at_the_first(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(5)
    seats = random.random(900) < 0.1
    labels = (random.random(900) < 0.4).astype(np.float64)
    scores = np.clip(0.3 * labels + random.random(900) * 0.7, 0, 1)
    root = written(tmp_path, live(seats, scores), outcome_batch(list(labels)))
    margins = Margins.of_sizes(Measure.RECALL, {Measure.RECALL: 0.01, Measure.COST: 0.01})
    plan = Plan(threshold=0.5, other_thresholds=(0.3, 0.8), costs=Costs(1.0, 20.0), margins=margins)

    report = compare_live_arms(root, Question("fraud"), plan)

    found = report.comparison.decisions
    assert [(each.threshold, each.acts) for each in found] == [
        (0.5, True),
        (0.3, False),
        (0.8, False),
    ]
    for each in found:
        for is_arm, side in ((~seats, "champion"), (seats, "challenger")):
            alarm, true = scores[is_arm] >= each.threshold, labels[is_arm] == 1
            matrix = metrics.confusion_matrix(true, alarm)
            for name, value in (
                ("share of positive decisions", alarm.mean()),
                ("recall", metrics.recall_score(true, alarm)),
                ("precision", metrics.precision_score(true, alarm)),
                ("false positive rate", matrix[0, 1] / matrix[0].sum()),
                ("cost per row", (matrix[0, 1] + 20 * matrix[1, 0]) / true.size),
            ):
                number = getattr(each.measures[name], side)
                assert number.estimate == pytest.approx(value, rel=1e-9), name
                assert number.lower <= value <= number.upper
        welch = stats.ttest_ind(
            scores[seats] >= each.threshold, scores[~seats] >= each.threshold, equal_var=False
        ).confidence_interval(0.95)
        difference = each.measures["share of positive decisions"].difference
        assert (difference.lower, difference.upper) == pytest.approx(tuple(welch), rel=1e-9)
    assert report.verdict is not None
    assert report.verdict.threshold == 0.5
    recall = next(each for each in report.verdict.judged if each.measure is Measure.RECALL)
    assert recall.difference == found[0].measures["recall"].difference.estimate


def test_rows_without_a_finite_score_are_counted_and_many_refuse_a_conclusion(
    tmp_path: Path,
) -> None:
    seats = np.arange(400) % 10 == 0
    scores = np.linspace(0, 1, 400)
    scores[np.flatnonzero(seats)[:8]] = [np.nan, np.inf] * 4
    root = written(tmp_path, live(seats, scores))

    report = compare_live_arms(root, Question("fraud"))

    assert (report.champion.not_finite, report.challenger.not_finite) == (0, 8)
    assert (report.challenger.rows, report.champion.rows) == (32, 360)
    told = (
        "80.0% of the rows of the challenger's arm have a finite score; at least 90.0% are needed"
    )
    assert report.comparison.refusals == (told,)
    assert (
        compare_live_arms(root, Question("fraud"), Plan(least_kept=0.7)).comparison.refusals == ()
    )


def test_a_unit_counts_for_its_arm_whichever_version_answers(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    scores = np.linspace(0, 1, 40)

    report = compare_live_arms(written(tmp_path, live(seats, scores)), Question("fraud"))

    # The batch was answered by version 7 alone.
    assert (report.challenger.rows, report.challenger.answered_by_others) == (4, 4)
    assert report.champion.answered_by_others == 0
    found = measure(report, "mean score").challenger.estimate
    assert found == pytest.approx(scores[seats].mean())


def test_a_repeated_request_counts_once(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    first, again = live(seats, np.zeros(40)), live(seats, np.ones(40), at_us=AT_US + SECOND_US)

    report = compare_live_arms(written(tmp_path, first, again), Question("fraud"))

    assert report.champion.rows + report.challenger.rows == 40
    assert measure(report, "mean score").champion.estimate == 1.0


def test_rows_of_revisions_without_a_challenger_are_left_out(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    before = score_batch(30, first=100, revision=3, width=0, at_us=AT_US - SECOND_US)

    report = compare_live_arms(
        written(tmp_path, before, live(seats, np.zeros(40))), Question("fraud")
    )

    assert report.champion.rows == 36
    assert [step.weight_bp for step in report.steps] == [1_000]


def test_a_raised_weight_is_a_second_step_of_new_units(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    latent = random.random(900)
    half = (Share("champion", 7, 5_000), Share("challenger", 8, 5_000))
    # Values rise together with the weight: rows without weights would differ by 0.2.
    first = live(latent[:600] < 0.1, random.normal(0.2, 0.1, 600))
    second = live(
        latent < 0.5, random.normal(0.7, 0.1, 900), split=half, revision=5,
        at_us=AT_US + SECOND_US, request_ids=[f"s{row}" for row in range(900)],
    )  # fmt: skip

    report = compare_live_arms(written(tmp_path, first, second), Question("fraud"))

    ratios = report.comparison.sample_ratio
    assert [each.champion + each.challenger for each in ratios] == [600, 300]
    assert [each.expected_share for each in ratios] == [0.1, 0.5]
    found = measure(report, "mean score").difference
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0 < found.upper
    assert abs(found.estimate or 1.0) < 0.1


def test_lost_units_of_an_arm_refuse_a_conclusion(tmp_path: Path) -> None:
    seats = np.arange(4_000) % 20 == 0  # half of the declared tenth
    root = written(tmp_path, live(seats, np.zeros(4_000)))

    result = CliRunner().invoke(
        app, ["compare", "--log-dir", str(root), "--model", "fraud", "--arms"]
    )

    assert result.exit_code == exit_codes.INCONCLUSIVE, result.stderr
    assert "MISMATCH" in result.stdout
    assert "the declared share is 10.00%" in result.stderr


def test_a_unit_in_both_arms_of_one_split_refuses_a_conclusion(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    moved = live(~seats, np.zeros(40), request_ids=[f"s{row}" for row in range(40)])

    report = compare_live_arms(
        written(tmp_path, live(seats, np.zeros(40)), moved), Question("fraud")
    )

    assert any("in both arms" in each for each in report.comparison.refusals)


def test_several_challengers_are_listed_and_none_is_guessed(tmp_path: Path) -> None:
    split = (*SPLIT[:1], Share("challenger", 8, 500), Share("challenger", 9, 500))
    seats = np.array([0] * 18 + [1, 2])
    root = written(tmp_path, score_batch(20, split=split, seats=seats.astype(np.uint16), width=0))

    with pytest.raises(InvalidInputError, match=r"--challenger 9 --champion 7.*--challenger 8"):
        compare_live_arms(root, Question("fraud"))
    report = compare_live_arms(root, Question("fraud", challenger=9))
    assert (report.challenger.rows, report.champion.rows) == (1, 18)
    assert report.comparison.sample_ratio[0].expected_share == pytest.approx(500 / 9_500)


def test_a_log_without_a_challenger_is_inconclusive(tmp_path: Path) -> None:
    with pytest.raises(InconclusiveError, match="assigned to a challenger"):
        compare_live_arms(written(tmp_path, score_batch(5)), Question("fraud"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--arms", "--shadow", "3"], "shadow: read 3"),
        (["--challenger", "8", "--slice", "decision"], "slice: read decision"),
    ],
)
def test_options_of_shadows_are_refused_for_arms(
    tmp_path: Path, words: list[str], told: str
) -> None:
    result = CliRunner().invoke(
        app, ["compare", "--log-dir", str(tmp_path), "--model", "fraud", *words]
    )

    assert result.exit_code == exit_codes.USAGE
    assert told in result.stderr


def test_a_page_and_a_document_have_the_arms(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    root = written(tmp_path / "logs", live(seats, np.linspace(0, 1, 40)))
    page = tmp_path / "page.html"

    result = CliRunner().invoke(
        app,
        ["compare", "--log-dir", str(root), "--model", "fraud", "--challenger", "8",
         "--page", str(page), "--output", "json"],
    )  # fmt: skip

    assert result.exit_code == exit_codes.OK
    assert '"sample_ratio"' in result.stdout
    assert "challenger 8 against champion 7" in page.read_text()


def test_units_under_two_keys_of_ids_are_counted_with_a_warning(tmp_path: Path) -> None:
    seats = np.arange(40) % 10 == 0
    for day, key in enumerate((b"1" * 16, b"2" * 16)):
        with LogWriter(tmp_path, ids=LoggedIds(IdForm.KEYED, key)) as writer:
            ids = [f"{day}-{row}" for row in range(40)]
            at_us = AT_US + day * 86_400_000_000
            assert writer.offer(live(seats, np.zeros(40), request_ids=ids, at_us=at_us))

    report = compare_live_arms(tmp_path, Question("fraud"))

    (warning,) = report.warnings
    assert "unit keys are written in 2 forms" in warning
    assert any(text == warning for _, text in arm_facts(report))


def test_each_day_of_both_arms_has_its_own_differences(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    seats = random.random(300) < 0.1
    days = []
    for day, higher in enumerate((0.0, 0.2)):
        scores = random.random(300) * 0.5 + higher * seats
        ids = [f"{day}-{row}" for row in range(300)]
        days.append((scores, live(seats, scores, request_ids=ids, at_us=AT_US + day * DAY_US)))
    labels = outcome_batch([1.0, 0.0] * 150, request_ids=[f"1-{row}" for row in range(300)])
    root = written(tmp_path, *(batch for _, batch in days), labels)

    report = compare_live_arms(root, Question("fraud"), Plan(threshold=0.4))

    assert [(each.day, each.rows, each.outcomes) for each in report.days] == [
        ("2026-11-18", 300, 0),
        ("2026-11-19", 300, 300),
    ]
    for (scores, _), found in zip(days, report.days, strict=True):
        welch = stats.ttest_ind(scores[seats], scores[~seats], equal_var=False)
        interval = welch.confidence_interval(0.95)
        ends = found.score.difference.lower, found.score.difference.upper
        assert ends == pytest.approx((interval.low, interval.high), rel=1e-9)
        assert found.positive_share is not None
        share = found.positive_share.challenger.estimate
        assert share == pytest.approx(np.mean(scores[seats] >= 0.4))
    assert report.days[0].squared_error is None
    page = arm_page_of(report)
    assert page.count("<svg") == 4 + 2  # a figure by day needs two days with outcomes
    assert "Differences by day" in page
