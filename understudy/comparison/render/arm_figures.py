"""The figures of a comparison of arms, as charts. Pure."""

from understudy.comparison.compare_arms import ArmReport
from understudy.comparison.render.class_figures import ranking_charts, reliability_chart
from understudy.comparison.render.day_figures import arm_day_figures
from understudy.comparison.render.svg import Chart, Series
from understudy.comparison.sections.arm_curves import ArmCurves


def arm_figures(report: ArmReport) -> list[Chart]:
    """Return the charts that the report has data for, in the order of the tables."""
    charts: list[Chart] = []
    curves = report.comparison.curves
    if curves is not None:
        one, two = curves.champion, curves.challenger
        charts.append(_distributions(curves))
        charts += ranking_charts(one.classes, two.classes)
        if one.reliability is not None and two.reliability is not None:
            charts.append(reliability_chart(one.reliability, two.reliability))
    return charts + arm_day_figures(report.days)


def _distributions(curves: ArmCurves) -> Chart:
    one, two = curves.champion.scores, curves.challenger.scores
    return Chart(
        title="Distribution of scores of each arm; bands: of the whole curve",
        x_label="score",
        y_label="share of rows at or below",
        series=[
            Series.band(one.band.points, "champion"),
            Series.band(two.band.points, "shadow"),
            Series("champion", one.points, role="champion"),
            Series("challenger", two.points, role="shadow"),
        ],
        y_range=(0.0, 1.0),
    )
