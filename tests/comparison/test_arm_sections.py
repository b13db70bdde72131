"""Distances, curves, calibration and slices of live arms: the numbers, and where they are shown."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve
from typer.testing import CliRunner

from stack.__main__ import app
from tests.comparison.test_arms import Floats, live, written
from tests.logs.builders import outcome_batch
from understudy.comparison.compare_arms import ArmReport, compare_live_arms
from understudy.comparison.evidence.rows import Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.arm_page import arm_page_of
from understudy.comparison.sections.arm_curves import ArmCurves
from understudy.runtime import exit_codes
from understudy.statistics.slices import SliceFinding

ROWS = 4_000
COUNTRIES = np.array(["fr", "de", "it", "es"])


class Logged:
    """Arms of single rows: the challenger is worse in one country."""

    def __init__(self, root: Path, *, with_outcomes: bool = True) -> None:
        random = np.random.default_rng(3)
        self.seats = random.random(ROWS) < 0.1
        self.labels = (random.random(ROWS) < 0.4).astype(np.float64)
        self.country = COUNTRIES[random.integers(0, 4, ROWS)]
        is_harmed = self.seats & (self.country == "de")
        noise = random.random(ROWS) * np.where(is_harmed, 0.9, 0.5)
        self.scores: Floats = np.clip(0.3 * self.labels + noise + 0.2 * is_harmed, 0, 1)
        outcomes = [outcome_batch(list(self.labels))] if with_outcomes else []
        self.log_dir = written(root / "logs", live(self.seats, self.scores), *outcomes)
        self.file = root / "segments.csv"
        lines = [f"r{row},{country}\n" for row, country in enumerate(self.country)]
        self.file.write_text("request_id,country\n" + "".join(lines))

    @property
    def losses(self) -> Floats:
        return (self.scores - self.labels) ** 2

    def report(self) -> ArmReport:
        plan = Plan(slices=("country",), slices_file=self.file)
        return compare_live_arms(self.log_dir, Question("fraud"), plan)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return Logged(tmp_path_factory.mktemp("arms"))


@pytest.fixture(scope="module")
def report(logged: Logged) -> ArmReport:
    return logged.report()


def curves(report: ArmReport) -> ArmCurves:
    assert report.comparison.curves is not None
    return report.comparison.curves


def test_distances_are_those_of_independent_samples(logged: Logged, report: ArmReport) -> None:
    one, two = logged.scores[~logged.seats], logged.scores[logged.seats]

    found = report.comparison.distances["distributions"]

    test = stats.ks_2samp(one, two, method="asymp")
    assert found.ks_distance == pytest.approx(test.statistic, abs=1e-9)
    limit = stats.kstwobign.isf(0.05) * np.sqrt(1 / one.size + 1 / two.size)
    assert found.ks_by_chance == pytest.approx(limit, abs=1e-9)
    expected = stats.chi2.isf(0.05, 9) * (1 / one.size + 1 / two.size)
    assert found.psi_by_chance == pytest.approx(expected, abs=1e-9)


def test_curves_are_those_of_each_arms_own_rows(logged: Logged, report: ArmReport) -> None:
    for seats, shape in (
        (~logged.seats, curves(report).champion),
        (logged.seats, curves(report).challenger),
    ):
        labels, scores = logged.labels[seats], logged.scores[seats]
        assert shape.classes is not None
        rates, recall, _ = metrics.roc_curve(labels, scores, drop_intermediate=False)
        of_all = set(zip(np.round(rates, 9), np.round(recall, 9), strict=True))
        assert {(round(one, 9), round(two, 9)) for one, two in shape.classes.roc} <= of_all
        points = shape.scores.points
        expected = np.array([np.mean(scores <= place) for place, _ in points])
        np.testing.assert_allclose([share for _, share in points], expected, atol=1e-9)
        assert shape.reliability is not None
        shares, means = calibration_curve(labels, scores, n_bins=10)
        bins = shape.reliability.bins
        found = np.array([each.positive_share.estimate for each in bins], np.float64)
        np.testing.assert_allclose(found, shares, atol=1e-9)
        np.testing.assert_allclose([each.mean_score for each in bins], means, atol=1e-9)
        assert all(each.positive_share.lower is not None for each in bins)


def test_the_calibration_error_says_why_it_has_no_interval(report: ArmReport) -> None:
    found = report.comparison.measures["calibration error"]
    sides = curves(report).champion.reliability, curves(report).challenger.reliability

    errors = [each.expected_calibration_error for each in sides if each is not None]
    assert [found.champion.estimate, found.challenger.estimate] == errors
    assert found.difference.estimate == pytest.approx(errors[1] - errors[0])
    assert {found.champion.why, found.difference.why} == {"it is biased upwards"}
    assert "(no interval: it is biased upwards)" in arm_page_of(report)


def by_value(report: ArmReport) -> dict[str, SliceFinding]:
    assert report.slices is not None
    return {each.value: each for each in report.slices.declared.findings}


def test_slices_have_the_test_of_welch_adjusted_for_any_dependence(
    logged: Logged, report: ArmReport
) -> None:
    found = by_value(report)

    expected = []
    for country in COUNTRIES:
        chosen = logged.country == country
        one, two = logged.losses[chosen & ~logged.seats], logged.losses[chosen & logged.seats]
        welch = stats.ttest_ind(two, one, equal_var=False)
        expected.append(welch.pvalue)
        number = found[country].difference
        interval = welch.confidence_interval(0.95)
        assert (number.lower, number.upper) == pytest.approx(tuple(interval), rel=1e-9)
        assert found[country].rows == chosen.sum()
    assert [found[each].p_value for each in COUNTRIES] == pytest.approx(expected, rel=1e-9)
    adjusted = stats.false_discovery_control(expected, method="by")
    assert [found[each].adjusted_p for each in COUNTRIES] == pytest.approx(list(adjusted), rel=1e-9)
    assert [each for each in COUNTRIES if found[each].is_shown] == ["de"]


def test_scores_without_outcomes_are_compared_with_the_other_rows(tmp_path: Path) -> None:
    logged = Logged(tmp_path, with_outcomes=False)

    report = logged.report()

    found = by_value(report)
    for country in COUNTRIES:
        means = [
            np.mean(logged.scores[seats & (logged.country == country)])
            - np.mean(logged.scores[seats & (logged.country != country)])
            for seats in (~logged.seats, logged.seats)
        ]
        assert found[country].difference.estimate == pytest.approx(means[1] - means[0], rel=1e-9)
    assert found["de"].is_shown
    assert curves(report).champion.classes is None
    assert "calibration error" not in report.comparison.measures


def test_all_of_it_is_in_the_table_the_page_and_the_document(
    logged: Logged, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    words = ["--arms", "--slice", "country", "--slices", logged.file, "--page", page]
    given = ["compare", "--log-dir", logged.log_dir, "--model", "fraud", *words]

    shown, document = (
        CliRunner().invoke(app, [*map(str, given), "--output", form]) for form in ("table", "json")
    )

    assert shown.exit_code == document.exit_code == exit_codes.OK, shown.stderr
    (worse,) = [line for line in shown.stdout.splitlines() if "WORSE" in line]
    assert " de " in worse
    assert "distances of the scores" in shown.stdout
    found = json.loads(document.stdout)
    assert found["slices"]["declared"]["findings"][0]["value"] == "de"
    assert found["comparison"]["curves"]["challenger"]["classes"]["roc"]
    text = page.read_text()
    assert text.count("<svg") == 4  # distributions, ROC, precision and recall, calibration
    assert "slices by a file" in text
    assert "declared slices: squared error (Brier), challenger - champion" in text


def test_a_column_of_the_log_is_a_slice_of_arms(tmp_path: Path) -> None:
    seats = np.arange(600) % 10 == 0
    scores = np.random.default_rng(1).random(600)
    root = written(tmp_path, live(seats, scores))

    report = compare_live_arms(root, Question("fraud"), Plan(slices=("hour",)))

    assert report.slices is not None
    # All rows are in one slice, so there are no others to compare it with.
    assert (report.slices.declared.findings, report.slices.declared.too_small) == ((), 1)
