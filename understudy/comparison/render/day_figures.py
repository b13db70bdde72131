"""The figures of a comparison over time, as charts. Pure."""

from collections.abc import Iterator, Sequence

from understudy.comparison.render.svg import Chart, Mark, Role, Series
from understudy.comparison.sections.arm_days import DayOfArms
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
    label = _days_label(days[0].day, days[-1].day)
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
    return [
        _differences(days, label),
        *_of_both(
            label,
            [
                (title, of, [(float(at), each.champion, each.shadow) for at, each in found])
                for title, of, found in of_both
            ],
        ),
    ]


def arm_day_figures(days: Sequence[DayOfArms]) -> list[Chart]:
    """Return the charts of both arms by day."""
    if not days:
        return []
    places = list(enumerate(days))
    of_both = (
        ("Mean score by day", "mean score", [(at, each.score) for at, each in places]),
        (
            "Share of positive decisions at the threshold that acts, by day",
            "share of rows",
            [(at, each.positive_share) for at, each in places if each.positive_share is not None],
        ),
        (
            "Squared error of scores against outcomes, by day of the answer; lower is better",
            "mean squared error",
            [(at, each.squared_error) for at, each in places if each.squared_error is not None],
        ),
    )
    return _of_both(
        _days_label(days[0].day, days[-1].day),
        [
            (title, of, [(float(at), each.champion, each.challenger) for at, each in found])
            for title, of, found in of_both
        ],
    )


def _of_both(
    x_label: str, charts: Sequence[tuple[str, str, Sequence[tuple[float, Number, Number]]]]
) -> list[Chart]:
    """Return a chart of two versions for each title, label and numbers of at least two days."""
    return [
        Chart(
            title,
            x_label,
            label,
            [
                *_with_band([(at, one) for at, one, _ in found], "champion"),
                *_with_band([(at, two) for at, _, two in found], "shadow"),
            ],
        )
        for title, label, found in charts
        if len(found) > 1
    ]


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


def _differences(days: Sequence[DayOfPairs], x_label: str) -> Chart:
    places: Placed = [(float(at), day.difference) for at, day in enumerate(days)]
    return Chart(
        title="Mean difference by day, with its interval",
        x_label=x_label,
        y_label="shadow minus answered",
        series=list(_with_band(places, "neutral")),
        marks=[Mark(0.0, "", is_horizontal=True)],
    )


def _days_label(first: str, last: str) -> str:
    return f"day, from {first} to {last}"


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
