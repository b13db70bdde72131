"""The figures of a comparison, as charts. Pure."""

from itertools import pairwise

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.plan import Plan, thresholds_of
from understudy.comparison.render.class_figures import ranking_charts, reliability_chart
from understudy.comparison.render.day_figures import coverage_figure, day_figures
from understudy.comparison.render.svg import Chart, Mark, Series
from understudy.comparison.sections.curves import Curves


def figures_of(report: ComparisonReport) -> list[Chart]:
    """Return the charts that the report has data for, in the order of the tables."""
    charts: list[Chart] = []
    if report.curves is not None and report.scores is not None:
        limits = report.scores.agreement
        charts += [
            _histogram(report.curves),
            _agreement(report.curves, limits.lower, limits.upper),
            _flips(report.curves, report.plan),
        ]
        charts += ranking_charts(report.curves.champion, report.curves.shadow)
    classes = report.quality.classes if report.quality is not None else None
    if classes is not None and classes.calibration is not None:
        calibration = classes.calibration
        charts.append(reliability_chart(calibration.champion, calibration.shadow))
    charts += day_figures(report.days)
    if len(report.coverage.periods) > 1:
        charts.append(coverage_figure(report.coverage.periods))
    return charts


def _histogram(curves: Curves) -> Chart:
    edges = curves.difference_edges
    centres = [(low + high) / 2 for low, high in pairwise(edges)]
    points = tuple(zip(centres, map(float, curves.difference_counts), strict=True))
    most = max(curves.difference_counts)
    return Chart(
        title="Differences of single rows, shadow minus answered",
        x_label="difference",
        y_label="rows",
        series=[Series("rows", points, kind="bars")],
        marks=[Mark(0.0, "equal")],
        x_range=(edges[0], edges[-1]),
        y_range=(0.0, most * 1.05),
    )


def _agreement(curves: Curves, lower: float, upper: float) -> Chart:
    values = [lower, upper, *(y for _, y in curves.cloud)]
    reach = max(abs(value) for value in values) * 1.05 or 1e-6
    return Chart(
        title="Agreement by size of the score (Bland and Altman); dashed: 95 % of differences",
        x_label="mean of both scores",
        y_label="shadow minus answered",
        series=[Series("rows", curves.cloud, kind="dots")],
        marks=[Mark(lower, "", is_horizontal=True), Mark(upper, "", is_horizontal=True)],
        y_range=(-reach, reach),
    )


def _flips(curves: Curves, plan: Plan) -> Chart:
    shares = [y for _, y in (*curves.flips_up, *curves.flips_down)]
    return Chart(
        title="Share of decisions that change, by threshold: to positive (dashed), to negative",
        x_label="threshold",
        y_label="share of rows",
        series=[
            Series("to positive", curves.flips_up, role="shadow"),
            Series("to negative", curves.flips_down, role="champion"),
        ],
        marks=[
            Mark(each, f"acts: {each:g}" if each == plan.threshold else f"{each:g}")
            for each in thresholds_of(plan)
        ],
        y_range=(0.0, max(shares) * 1.05 or 1e-6),
    )
