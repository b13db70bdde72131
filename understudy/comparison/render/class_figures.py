"""The figures of two versions against outcomes that are classes, as charts. Pure."""

from collections.abc import Iterator

from understudy.comparison.render.svg import Chart, Role, Series
from understudy.statistics.calibration import Reliability
from understudy.statistics.class_curves import Band, ClassCurves

_DIAGONAL = Series("", ((0.0, 0.0), (1.0, 1.0)))
_UNIT = (0.0, 1.0)


def ranking_charts(champion: ClassCurves | None, other: ClassCurves | None) -> list[Chart]:
    """Return the curves over all thresholds, with bands; none unless both versions have them."""
    if champion is None or other is None:
        return []
    versions: list[tuple[ClassCurves, Role]] = [(champion, "champion"), (other, "shadow")]
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


def reliability_chart(champion: Reliability, other: Reliability) -> Chart:
    """Return the shares of positives by score, with whiskers."""
    return Chart(
        title="Calibration: share of positives by mean score, with intervals",
        x_label="mean score",
        y_label="share of positives",
        series=[
            _DIAGONAL,
            *_bins(champion, "champion"),
            *_bins(other, "shadow"),
        ],
        x_range=_UNIT,
        y_range=_UNIT,
    )


def _bands_text(of: str, band: Band) -> str:
    return f"no bands: {band.why}" if band.why else f"bands: intervals of {of}"


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
