"""The figures of a comparison, as charts. Pure."""

from collections.abc import Iterator
from itertools import pairwise

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.plan import Plan, thresholds_of
from understudy.comparison.render.day_figures import coverage_figure, day_figures
from understudy.comparison.render.svg import Chart, Mark, Role, Series
from understudy.comparison.sections.curves import Curves
from understudy.statistics.calibration import Calibration, Reliability
from understudy.statistics.class_curves import Band, ClassCurves

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
            _flips(report.curves, report.plan),
        ]
        charts += _rankings(report.curves)
    classes = report.quality.classes if report.quality is not None else None
    if classes is not None and classes.calibration is not None:
        charts.append(_reliability(classes.calibration))
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


def _rankings(curves: Curves) -> list[Chart]:
    if curves.champion is None or curves.shadow is None:
        return []
    versions: list[tuple[ClassCurves, Role]] = [
        (curves.champion, "champion"),
        (curves.shadow, "shadow"),
    ]
    of_roc, of_recall = versions[0][0].roc_band, versions[0][0].precision_recall_band
    roc_bands = [Series.band(version.roc_band.points, role) for version, role in versions]
    roc = [Series(role, version.roc, role=role) for version, role in versions]
    bands = [Series.band(version.precision_recall_band.points, role) for version, role in versions]
    recall = [Series(role, version.precision_recall, role=role) for version, role in versions]
    return [
        Chart(
            f"Receiver operating characteristic; {_bands_text('recall at each rate', of_roc)}",
            "false positive rate",
            "recall",
            [_DIAGONAL, *roc_bands, *roc],
            x_range=_UNIT,
            y_range=_UNIT,
        ),
        Chart(
            f"Precision and recall; {_bands_text('precision at each recall', of_recall)}",
            "recall",
            "precision",
            [*bands, *recall],
            x_range=_UNIT,
            y_range=_UNIT,
        ),
    ]


def _bands_text(of: str, band: Band) -> str:
    return f"no bands: {band.why}" if band.why else f"bands: intervals of {of}"


def _reliability(calibration: Calibration) -> Chart:
    return Chart(
        title="Calibration: share of positives by mean score, with intervals",
        x_label="mean score",
        y_label="share of positives",
        series=[
            _DIAGONAL,
            *_bins(calibration.champion, "champion"),
            *_bins(calibration.shadow, "shadow"),
        ],
        x_range=_UNIT,
        y_range=_UNIT,
    )


def _bins(reliability: Reliability, role: Role) -> Iterator[Series]:
    """Yield the intervals of the shares, and the shares as a line."""
    intervals = [
        (each.mean_score, end)
        for each in reliability.bins
        if (share := each.positive_share).lower is not None and share.upper is not None
        for end in (share.lower, share.upper)
    ]
    yield Series("intervals", intervals, kind="whiskers", role=role)
    points = [(each.mean_score, each.positive_share.estimate or 0.0) for each in reliability.bins]
    yield Series(role, points, role=role)
