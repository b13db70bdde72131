"""The slices of a comparison as rows of text."""

from understudy.comparison.render.number_texts import number_text
from understudy.comparison.sections.slices import SliceComparison
from understudy.statistics.slices import SliceFinding

SLICES = ("column", "value", "rows", "difference", "adjusted p", "")
_MOST_DECLARED, _MOST_FOUND = 100, 20


def slice_tables(slices: SliceComparison | None) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return titles and rows of the declared slices and of those that were found."""
    if slices is None:
        return []
    titles = (
        (f"declared slices: {slices.measure}", slices.declared, _MOST_DECLARED),
        (f"slices found by search: {slices.measure}", slices.found, _MOST_FOUND),
    )
    tables = []
    for title, found, most in titles:
        rows = [_slice_row(each, is_loss=slices.is_loss) for each in found.findings[:most]]
        others = len(found.findings) - len(rows)
        if others or found.too_small:
            rest = f"{others} less certain, {found.too_small} too small to test"
            rows.append(("others", rest, "", "", "", ""))
        tables.append((title, rows))
    return [(title, rows) for title, rows in tables if rows]  # one column has no pairs


def _slice_row(each: SliceFinding, *, is_loss: bool) -> tuple[str, ...]:
    return (
        each.column,
        each.value,
        f"{each.rows:,}",
        number_text(each.difference, sign="+"),
        f"{each.adjusted_p:.3g}",
        _conclusion(each, is_loss=is_loss),
    )


def _conclusion(each: SliceFinding, *, is_loss: bool) -> str:
    if not each.is_shown:
        return ""
    if not is_loss or each.difference.estimate is None:
        return "differs"
    return "WORSE" if each.difference.estimate > 0 else "better"
