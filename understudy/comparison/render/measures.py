"""Measures of both versions as rows of text: the same in a terminal and in a page."""

from understudy.comparison.sections.quality import ClassQuality
from understudy.comparison.sections.scores import ScoreComparison
from understudy.statistics.calibration import Calibration
from understudy.statistics.decisions import DecisionQuality, Flips
from understudy.statistics.errors import ErrorComparison
from understudy.statistics.measures import Number, PairedMeasure

Row = tuple[str, str, str, str]  # name, answered, shadow, difference


def score_rows(scores: ScoreComparison) -> list[Row]:
    return [measure_row("mean score", scores.mean)]


def class_rows(quality: ClassQuality) -> list[Row]:
    rows: list[Row] = []
    auc = quality.auc
    if auc is None:
        rows.append(("AUC", "a class has rows of fewer than two units", "", ""))
    else:
        note = " (from both intervals: few rows of a class)" if auc.method == "recovery" else ""
        rows.append(
            (
                "AUC",
                number_text(auc.champion),
                number_text(auc.shadow),
                number_text(auc.difference, sign="+") + note,
            )
        )
        rows.append(("positives, negatives", f"{auc.positives}, {auc.negatives}", "", ""))
    if quality.calibration is None:
        rows.append(("calibration", "the scores are no probabilities", "", ""))
        return rows
    return rows + _calibration_rows(quality.calibration)


def _calibration_rows(calibration: Calibration) -> list[Row]:
    champion, shadow = calibration.champion, calibration.shadow
    change = shadow.expected_calibration_error - champion.expected_calibration_error
    rows = [
        measure_row("Brier", calibration.brier),
        measure_row("log loss", calibration.log_loss),
        (
            "calibration error",
            f"{champion.expected_calibration_error:.6f}",
            f"{shadow.expected_calibration_error:.6f}",
            f"{change:+.6f} (biased upwards: no interval)",
        ),
    ]
    if champion.clipped or shadow.clipped:
        clipped = (f"{champion.clipped}", f"{shadow.clipped}", "")
        rows.append(("scores rounded to 0 or 1", *clipped))
    return rows


def decision_rows(quality: DecisionQuality) -> list[Row]:
    rows = [
        measure_row("recall", quality.recall),
        measure_row("precision", quality.precision),
        measure_row("false positive rate", quality.false_positive_rate),
    ]
    if quality.cost is not None:
        rows.append(measure_row("cost per row", quality.cost))
    if quality.matched is not None:
        name = f"recall at equal alarms (shadow at {quality.matched.threshold:.6g})"
        rows.append(measure_row(name, quality.matched.recall))
    return rows


def number_rows(errors: ErrorComparison) -> list[Row]:
    return [
        measure_row("mean absolute error", errors.absolute),
        measure_row("mean squared error", errors.squared),
        measure_row("bias", errors.bias),
    ]


def flip_facts(flips: Flips) -> list[tuple[str, object]]:
    share = flips.positive_share
    flipped = (
        f"{flips.to_positive + flips.to_negative} of {flips.pairs} ({flips.to_positive} to "
        f"positive, {flips.to_negative} to negative), {number_text(flips.rate)}"
    )
    p_value = "no row flips" if flips.p_value is None else f"{flips.p_value:.3g}"
    return [
        ("flips", flipped),
        ("positive, answered", number_text(share.champion)),
        ("positive, shadow", number_text(share.shadow)),
        ("difference", number_text(share.difference, sign="+")),
        ("p of equal shares", p_value),
    ]


def measure_row(name: str, measure: PairedMeasure) -> Row:
    return (
        name,
        number_text(measure.champion),
        number_text(measure.shadow),
        number_text(measure.difference, sign="+"),
    )


def number_text(number: Number, sign: str = "") -> str:
    """Return the estimate with its interval, or with the reason for which it has none."""
    found = interval_text(number.estimate, number.lower, number.upper, sign=sign)
    if found is not None:
        return found
    if number.estimate is None:
        return number.why
    return f"{number.estimate:{sign}.6f} (no interval: {number.why})"


def interval_text(
    estimate: float | None, lower: float | None, upper: float | None, sign: str = ""
) -> str | None:
    """Return "estimate [lower, upper]"; None if one of them is unknown."""
    if estimate is None or lower is None or upper is None:
        return None
    return f"{estimate:{sign}.6f} [{lower:{sign}.6f}, {upper:{sign}.6f}]"


def optional_text(value: float | None, otherwise: str = "undefined") -> str:
    return otherwise if value is None else f"{value:.6f}"
