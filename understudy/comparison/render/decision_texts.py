"""Decisions at each threshold, and days, as rows of text."""

from collections.abc import Iterator, Sequence

from understudy.comparison.render.coverage_texts import Facts
from understudy.comparison.render.number_texts import (
    Row,
    measure_row,
    number_text,
    threshold_text,
)
from understudy.comparison.sections.days import DayOfPairs
from understudy.comparison.sections.decisions import DecisionsAt
from understudy.statistics.decisions import DecisionQuality, Flips

DAYS = ("day", "pairs", "mean difference", "positive", "outcomes", "squared error", "AUC")
_MOST_DAYS = 31


def flip_tables(decisions: Sequence[DecisionsAt]) -> Iterator[tuple[str, Facts]]:
    """Yield title and facts of the decisions at each threshold."""
    for each in decisions:
        yield f"decisions at {_threshold(each)}", flip_facts(each.flips)


def quality_tables(decisions: Sequence[DecisionsAt]) -> Iterator[tuple[str, list[Row]]]:
    """Yield title and rows of the decisions against outcomes at each threshold."""
    for each in decisions:
        if each.quality is not None:
            yield f"on outcomes, decisions at {_threshold(each)}", decision_rows(each.quality)


def _threshold(each: DecisionsAt) -> str:
    return threshold_text(each.flips.threshold, acts=each.acts)


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


def flip_facts(flips: Flips) -> Facts:
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


def day_rows(days: Sequence[DayOfPairs]) -> list[tuple[str, ...]]:
    """Return the differences of each day, of the last days if they are many."""
    return last_days([_day_row(each) for each in days])


def last_days(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows of the last days, below the number of the others."""
    earlier = len(rows) - _MOST_DAYS
    rest = [(f"{earlier} earlier", *[""] * (len(rows[0]) - 1))] if earlier > 0 else []
    return [*rest, *rows[-_MOST_DAYS:]]


def _day_row(each: DayOfPairs) -> tuple[str, ...]:
    flips, squares, auc = each.flips, each.squared_error, each.auc
    return (
        each.day,
        f"{each.pairs:,}",
        number_text(each.difference, sign="+"),
        "" if flips is None else number_text(flips.positive_share.difference, sign="+"),
        f"{each.outcomes:,}",
        "" if squares is None else number_text(squares.difference, sign="+"),
        "" if auc is None else number_text(auc.difference, sign="+"),
    )
