"""The figures of a comparison over time, as charts. Pure."""

from collections.abc import Iterator, Sequence

from understudy.comparison.render.svg import Chart, Mark, Role, Series
from understudy.comparison.sections.coverage import CoveredPeriod
from understudy.comparison.sections.days import DayOfPairs
from understudy.runtime.terminal.plain_text import shown
from understudy.statistics.measures import Number

Placed = list[tuple[float, Number]]


def day_figures(days: Sequence[DayOfPairs]) -> list[Chart]:
    """Return the charts by day."""
    if not days:
        return []
    places = list(enumerate(days))
    charts = [_differences(days)]
    of_both = (
        (
            "Share of positive decisions at the threshold that acts, by day",
            "share of rows",
            [(at, each.flips.positive_share) for at, each in places if each.flips is not None],
        ),
        (
            "Squared error of scores against outcomes, by day of the answer; lower is better",
            "mean squared error",
            [(at, each.squared_error) for at, each in places if each.squared_error is not None],
        ),
        (
            "AUC, by day of the answer",
            "AUC",
            [(at, each.auc) for at, each in places if each.auc is not None],
        ),
    )
    for title, label, found in of_both:
        if len(found) > 1:
            champion: Placed = [(float(at), each.champion) for at, each in found]
            shadow: Placed = [(float(at), each.shadow) for at, each in found]
            series = [*_with_band(champion, "champion"), *_with_band(shadow, "shadow")]
            charts.append(Chart(title, _days_label(days), label, series))
    return charts


def coverage_figure(periods: Sequence[CoveredPeriod]) -> Chart:
    scored = tuple((float(at), each.answered / each.offered) for at, each in enumerate(periods))
    degraded = tuple((float(at), each.degraded / each.offered) for at, each in enumerate(periods))
    first, last = shown(periods[0].since), shown(periods[-1].since)
    return Chart(
        title=f"Rows offered, {first} to {last}: share that the shadow scored (dashed), "
        "share of degraded answers",
        x_label="period",
        y_label="share of rows",
        series=[
            Series("scored", scored, role="shadow"),
            Series("degraded", degraded, role="champion"),
        ],
        y_range=(0.0, 1.02),
    )


def _differences(days: Sequence[DayOfPairs]) -> Chart:
    places: Placed = [(float(at), day.difference) for at, day in enumerate(days)]
    return Chart(
        title="Mean difference by day, with its interval",
        x_label=_days_label(days),
        y_label="shadow minus answered",
        series=list(_with_band(places, "neutral")),
        marks=[Mark(0.0, "", is_horizontal=True)],
    )


def _days_label(days: Sequence[DayOfPairs]) -> str:
    return f"day, from {days[0].day} to {days[-1].day}"


def _with_band(places: Placed, role: Role) -> Iterator[Series]:
    """Yield the intervals as a band, and the estimates as a line."""
    known = [
        (at, number.lower, number.upper)
        for at, number in places
        if number.lower is not None and number.upper is not None
    ]
    yield Series.band(known, role)
    line = [(at, number.estimate) for at, number in places if number.estimate is not None]
    yield Series("", line, role=role)
