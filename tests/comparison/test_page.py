"""The page of a comparison: complete without a network, safe, the same for the same logs."""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.comparison.test_arms import live
from tests.logs.builders import AT_US, DAY_US, outcome_batch, shadow_batch
from understudy.comparison.compare import ComparisonReport, compare
from understudy.comparison.compare_arms import compare_live_arms
from understudy.comparison.evidence.rows import PairedRows, Question
from understudy.comparison.plan import Plan
from understudy.comparison.render.arm_page import arm_page_of
from understudy.comparison.render.page import page_of
from understudy.comparison.render.svg import Chart, Mark, Series, svg_of, ticks
from understudy.comparison.sections.curves import curves_of
from understudy.domain.margins import Margins, Measure
from understudy.logs.writer import LogWriter
from understudy.runtime.terminal.json_output import json_text

ROWS = 400
PLAN = Plan(threshold=0.5, margins=Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.02}))


def rows(seed: int = 1, *, ties: bool = False) -> PairedRows:
    random = np.random.default_rng(seed)
    label = (random.random(ROWS) < 0.4).astype(np.float64)
    champion, shadow = np.clip(0.3 * label + random.random((2, ROWS)) * 0.7, 0, 1)
    if ties:
        champion, shadow = np.round(champion, 1), np.round(shadow, 1)
    number = np.arange(ROWS)
    return PairedRows(champion, shadow, unit=number, label=label, day=number // 200)


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log pairs and live arms of two days."""
    root, data = tmp_path_factory.mktemp("logs"), rows()
    ids = [f"r{number}" for number in range(ROWS - 1)] + ["<script>alert(1)</script>"]
    shadow = data.shadow.copy()
    shadow[-1] = 5.0  # among the largest differences, so that its id is shown
    with LogWriter(root) as writer:
        for day in range(2):
            part = slice(200 * day, 200 * (day + 1))
            batch = shadow_batch(
                list(data.champion[part]), list(shadow[part]),
                request_ids=ids[part], entity_ids=ids[part], at_us=AT_US + day * DAY_US,
            )  # fmt: skip
            assert writer.offer(batch)
            arms = live(
                np.arange(200) % 5 == 0, data.champion[part],
                request_ids=ids[part], entity_ids=ids[part], at_us=AT_US + day * DAY_US,
            )  # fmt: skip
            assert writer.offer(arms)
        assert writer.offer(outcome_batch(list(data.label), request_ids=ids))
    return root


@pytest.fixture(scope="module")
def report(log_dir: Path) -> ComparisonReport:
    return compare(log_dir, Question("fraud"), PLAN)


def test_a_page_needs_no_network_and_runs_no_code(report: ComparisonReport) -> None:
    page = page_of(report)

    assert not re.search(r"https?://|src=|@import|url\(|<script", page)
    assert "&lt;script&gt;alert(1)" in page


def test_the_same_logs_give_the_same_bytes(
    log_dir: Path, report: ComparisonReport, tmp_path: Path
) -> None:
    # Copied, so that the files have another order in their directories.
    for file in sorted(log_dir.rglob("*.parquet"), reverse=True):
        copy = tmp_path / file.relative_to(log_dir)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    pages, documents = [page_of(report)], [json_text(report)]
    for root in (tmp_path, log_dir, tmp_path):
        arms = compare_live_arms(root, Question("fraud"), PLAN)
        pages.append(arm_page_of(arms))
        documents.append(json_text(arms))
    again = compare(tmp_path, Question("fraud"), PLAN)

    assert [page_of(again), json_text(again)] == [pages[0], documents[0]]
    assert len(set(pages)) == len(set(documents)) == 2


def test_a_page_has_the_verdict_each_table_each_figure_and_the_queries(
    report: ComparisonReport,
) -> None:
    page = page_of(report)

    assert report.verdict is not None
    for text in (report.verdict.outcome, "coverage", "on outcomes", "Largest differences"):
        assert text in page
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(figures) == 10  # calibration is missing: a score is 5.0
    for figure in figures:
        assert ET.fromstring(figure).tag == "svg"  # noqa: S314 - ours
    assert "FROM shadow" in page


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_below_the_curve_is_the_area_of_the_scores(*, ties: bool) -> None:
    data = rows(3, ties=ties)

    curves = curves_of(data)

    assert curves is not None
    assert curves.champion is not None
    alarms, recall = np.array(curves.champion.roc).T
    area = np.trapezoid(recall, alarms)
    # Of the points of many scores only some are kept.
    assert area == pytest.approx(
        roc_auc_score(data.label, data.champion), abs=1e-12 if ties else 0.01
    )


def test_the_curve_of_flips_is_the_share_that_changes_at_each_threshold() -> None:
    data = rows(4, ties=True)

    curves = curves_of(data)

    assert curves is not None
    for threshold, share in curves.flips_up:
        flips = (data.champion < threshold) & (data.shadow >= threshold)
        assert share == pytest.approx(flips.mean())
    for threshold, share in curves.flips_down:
        flips = (data.champion >= threshold) & (data.shadow < threshold)
        assert share == pytest.approx(flips.mean())


def test_every_row_is_in_the_histogram() -> None:
    nothing = np.zeros(9)
    equal = PairedRows(nothing, nothing, unit=np.arange(9), label=nothing, day=np.arange(9))
    for data in (rows(5), equal):
        curves = curves_of(data)
        assert curves is not None
        assert sum(curves.difference_counts) == data.champion.size


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-6, 1e6))
def test_ticks_are_few_and_inside_their_range(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-9 * abs(low):
        return

    found = ticks(low, high)

    assert 2 <= len(found) <= 11
    slack = 1e-6 * width + 1e-9 * abs(low)
    assert all(low - slack <= tick <= high + slack for tick in found)
    assert found == sorted(set(found))


def test_a_chart_without_extent_is_drawn() -> None:
    chart = Chart("t & t", "x", "y", [Series("", ((1.0, 2.0),), kind="dots")], [Mark(1.0, "<m>")])

    assert ET.fromstring(svg_of(chart)).tag == "svg"  # noqa: S314 - ours
