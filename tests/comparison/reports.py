"""Parts of a report that a test takes for given."""

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.sections.quality import ClassQuality
from understudy.comparison.sections.scores import ScoreComparison


def classes_of(report: ComparisonReport) -> ClassQuality:
    assert report.quality is not None
    assert report.quality.classes is not None
    return report.quality.classes


def scores_of(report: ComparisonReport) -> ScoreComparison:
    assert report.scores is not None
    return report.scores
