"""The figures of a comparison, as charts. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.render.svg import Chart, Mark, Role, Series
from understudy.comparison.sections.coverage import CoveredPeriod
from understudy.comparison.sections.curves import Curves, VersionCurves
from understudy.runtime.terminal.plain_text import shown
from understudy.statistics.calibration import Calibration, Reliability

_DIAGONAL = Series("", ((0.0, 0.0), (1.0, 1.0)))
_UNIT = (0.0, 1.0)


def figures_of(report: ComparisonReport) -> list[Chart]:
    """Return the charts that the report has data for, in the order of the tables."""
    charts: list[Chart] = []
    if report.curves is not None and report.scores is not None:
        limits = report.scores.agreement
        charts += [
            _histogram(report.curves),
            _agreement(report.curves, limits.lower, limits.upper),
            _flips(report.curves, report.plan.threshold),
        ]
        charts += _rankings(report.curves)
    classes = report.quality.classes if report.quality is not None else None
    if classes is not None and classes.calibration is not None:
        charts.append(_reliability(classes.calibration))
    if report.scores is not None and len(report.scores.days) > 1:
        charts.append(_days(report))
    if len(report.coverage.periods) > 1:
        charts.append(_coverage(report.coverage.periods))
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


def _flips(curves: Curves, threshold: float | None) -> Chart:
    shares = [y for _, y in (*curves.flips_up, *curves.flips_down)]
    return Chart(
        title="Share of decisions that change, by threshold: to positive (dashed), to negative",
        x_label="threshold",
        y_label="share of rows",
        series=[
            Series("to positive", curves.flips_up, role="shadow"),
            Series("to negative", curves.flips_down, role="champion"),
        ],
        marks=[] if threshold is None else [Mark(threshold, f"acts: {threshold:g}")],
        y_range=(0.0, max(shares) * 1.05 or 1e-6),
    )


def _rankings(curves: Curves) -> list[Chart]:
    if curves.champion is None or curves.shadow is None:
        return []
    versions: list[tuple[VersionCurves, Role]] = [
        (curves.champion, "champion"),
        (curves.shadow, "shadow"),
    ]
    roc = [Series(role, version.roc, role=role) for version, role in versions]
    recall = [Series(role, version.precision_recall, role=role) for version, role in versions]
    return [
        Chart(
            "Receiver operating characteristic",
            "false positive rate",
            "recall",
            [_DIAGONAL, *roc],
            x_range=_UNIT,
            y_range=_UNIT,
        ),
        Chart("Precision and recall", "recall", "precision", recall, x_range=_UNIT, y_range=_UNIT),
    ]


def _reliability(calibration: Calibration) -> Chart:
    return Chart(
        title="Calibration: share of positives by mean score",
        x_label="mean score",
        y_label="share of positives",
        series=[
            _DIAGONAL,
            _bins(calibration.champion, "champion"),
            _bins(calibration.shadow, "shadow"),
        ],
        x_range=_UNIT,
        y_range=_UNIT,
    )


def _coverage(periods: Sequence[CoveredPeriod]) -> Chart:
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


def _bins(reliability: Reliability, role: Role) -> Series:
    points = tuple((each.mean_score, each.positive_share) for each in reliability.bins)
    return Series(role, points, role=role)


def _days(report: ComparisonReport) -> Chart:
    days = report.scores.days if report.scores is not None else ()
    estimates, lower, upper = (
        tuple(
            (float(place), value)
            for place, day in enumerate(days)
            if (value := getattr(day.difference, end)) is not None
        )
        for end in ("estimate", "lower", "upper")
    )
    return Chart(
        title=f"Mean difference by day, {days[0].day} to {days[-1].day}, with its interval",
        x_label="day",
        y_label="shadow minus answered",
        series=[
            Series("interval", lower, role="band"),
            Series("interval", upper, role="band"),
            Series("days", estimates),
        ],
        marks=[Mark(0.0, "", is_horizontal=True)],
    )
