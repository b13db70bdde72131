"""A comparison as one HTML page that needs no network: the tables, figures and queries. Pure."""

from collections.abc import Iterable

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.evidence import offered, slice_columns
from understudy.comparison.evidence.pairs import QUERIES
from understudy.comparison.render import decision_texts, html, slice_texts, texts
from understudy.comparison.render.figures import figures_of
from understudy.runtime.terminal.plain_text import shown


def page_of(report: ComparisonReport) -> str:
    """Return the page; equal reports give equal bytes."""
    pair = report.pair
    period = f"{shown(pair.first_at)} to {shown(pair.last_at)}, UTC"
    return html.document(
        f"{report.question.model}: shadow {pair.shadow} against {pair.champion}",
        f"{period}. Intervals at {report.plan.confidence:.0%}, by unit.",
        [
            *html.verdict_parts(report.verdict, texts.margins_origin(report.plan, pair.first_at)),
            *html.refusals(report.coverage.refusals, report.coverage.warnings),
            *_tables(report),
            *html.figures(figures_of(report)),
            *html.queries(_queries(report)),
        ],
    )


def _queries(report: ComparisonReport) -> dict[str, str]:
    of_slices = {} if report.slices is None else slice_columns.queries()
    return QUERIES | offered.QUERIES | of_slices


def _tables(report: ComparisonReport) -> Iterable[str]:
    for title, facts in texts.fact_tables(report):
        yield from html.table(title, (), [(name, str(value)) for name, value in facts])
    for title, rows in texts.measure_tables(report):
        yield from html.table(title, texts.MEASURES, rows)
    for title, found in slice_texts.slice_tables(report.slices):
        yield from html.table(title, slice_texts.SLICES, found)
    if by_day := decision_texts.day_rows(report.days):
        yield from html.table("Differences by day", decision_texts.DAYS, by_day)
    if report.worst:
        yield from html.table("Largest differences", texts.WORST, texts.worst_rows(report.worst))
