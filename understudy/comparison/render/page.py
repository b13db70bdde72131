"""A comparison as one HTML page that needs no network: the tables, figures and queries. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

from understudy.comparison.compare import ComparisonReport
from understudy.comparison.decisions.verdict import Verdict
from understudy.comparison.evidence.pairs import QUERIES
from understudy.comparison.render import figures, texts
from understudy.comparison.render.page_style import STYLE
from understudy.comparison.render.svg import Chart, svg_of
from understudy.comparison.sections.coverage import Coverage
from understudy.runtime.terminal.plain_text import shown

Cells = Sequence[str]


def page_of(report: ComparisonReport) -> str:
    """Return the page; equal reports give equal bytes."""
    pair, model = report.pair, report.question.model
    title = f"{model}: shadow {pair.shadow} against {pair.champion}"
    period = f"{shown(pair.first_at)} to {shown(pair.last_at)}, UTC"
    intervals = f"Intervals at {report.plan.confidence:.0%}, by unit."
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(period)}. {intervals}</p>",
        *_verdict(report.verdict),
        *_coverage(report.coverage),
        *_tables(report),
        *_figures(figures.figures_of(report)),
        *_queries(),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _verdict(verdict: Verdict | None) -> Iterable[str]:
    if verdict is None:
        return
    outcome = verdict.outcome.value
    at = "" if verdict.threshold is None else f" for the threshold {verdict.threshold:g}"
    yield f'<p class="verdict {outcome.lower()}"><strong>{outcome}</strong>{at}: {escape(verdict.why)}</p>'
    rows = [texts.judged_row(each) for each in verdict.judged]
    yield from _table("Verdict, with intervals that hold at every look", texts.JUDGED, rows)


def _coverage(coverage: Coverage) -> Iterable[str]:
    for reason in coverage.refusals:
        yield f'<p class="verdict refused"><strong>Refused</strong>: {escape(reason)}</p>'
    for reason in coverage.warnings:
        yield f'<p class="verdict inconclusive">{escape(reason)}</p>'


def _tables(report: ComparisonReport) -> Iterable[str]:
    for title, facts in texts.fact_tables(report):
        yield from _table(title, (), [(name, str(value)) for name, value in facts])
    for title, rows in texts.measure_tables(report):
        yield from _table(title, texts.MEASURES, rows)
    if report.worst:
        yield from _table("Largest differences", texts.WORST, texts.worst_rows(report.worst))


def _table(title: str, header: Cells, rows: Iterable[Cells]) -> Iterable[str]:
    yield f'<h2>{escape(title)}</h2><div class="wide"><table>'
    if header:
        yield (
            "<thead><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr></thead>"
        )
    for row in rows:
        first, *others = row
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        yield f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
    yield "</table></div>"


def _figures(charts: Sequence[Chart]) -> Iterable[str]:
    if not charts:
        return
    yield '<h2>Figures</h2><p class="legend"><span class="champion">answered</span> '
    yield '<span class="shadow">shadow</span></p><div class="figures">'
    for chart in charts:
        yield f"<figure>{svg_of(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>"
    yield "</div>"


def _queries() -> Iterable[str]:
    yield "<h2>Queries</h2><p>The numbers come from these, over the views score, shadow and outcomes.</p>"
    for name, query in QUERIES.items():
        yield f"<details><summary>{escape(name)}</summary><pre>{escape(query.strip())}</pre></details>"
