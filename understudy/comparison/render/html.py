"""The parts of a page that needs no network: one HTML document, its tables and figures. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from understudy.comparison.decisions.verdict import Verdict
from understudy.comparison.render import texts
from understudy.comparison.render.page_style import STYLE
from understudy.comparison.render.svg import Chart, svg_of

Cells = Sequence[str]


def document(title: str, about: str, parts: Iterable[str]) -> str:
    """Return the page; equal parts give equal bytes."""
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(about)}</p>",
        *parts,
        "</main></body></html>",
    ]
    return "\n".join(lines) + "\n"


def verdict_parts(verdict: Verdict | None, origin: str) -> Iterable[str]:
    """Return the verdict and its measures; nothing if none was asked for."""
    if verdict is None:
        return
    outcome = verdict.outcome.value
    at = "" if verdict.threshold is None else f" for the threshold {verdict.threshold:g}"
    yield f'<p class="verdict {outcome.lower()}"><strong>{outcome}</strong>{at}: {escape(verdict.why)}</p>'
    yield f"<p>{escape(origin)}</p>"
    rows = [texts.judged_row(each) for each in verdict.judged]
    yield from table("Verdict, with intervals that hold at every look", texts.JUDGED, rows)


def refusals(reasons: Iterable[str], warnings: Iterable[str] = ()) -> Iterable[str]:
    """Return the reasons against a conclusion, and warnings, as notices."""
    for reason in reasons:
        yield f'<p class="verdict refused"><strong>Refused</strong>: {escape(reason)}</p>'
    for reason in warnings:
        yield f'<p class="verdict inconclusive">{escape(reason)}</p>'


def table(title: str, header: Cells, rows: Iterable[Cells]) -> Iterable[str]:
    """Return a table whose first column names its rows."""
    kind = "headed" if header else "facts"
    yield f'<h2>{escape(title)}</h2><div class="wide"><table class="{kind}">'
    if header:
        yield (
            "<thead><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr></thead>"
        )
    for row in rows:
        first, *others = row
        cells = "".join(map(_cell, header[1:] or [""] * len(others), others))
        yield f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
    yield "</table></div>"


def _cell(label: str, text: str) -> str:
    named = f' data-label="{escape(label)}"' if label else ""
    return f"<td{named}>{escape(text)}</td>"


def figures(
    charts: Sequence[Chart], *, versions: tuple[str, str] = ("answered", "shadow")
) -> Iterable[str]:
    """Return the charts with their captions, and the colours of both versions by name."""
    if not charts:
        return
    yield '<h2>Figures</h2><p class="legend"><span class="champion">'
    yield f'{versions[0]}</span> <span class="shadow">{versions[1]}</span></p><div class="figures">'
    for chart in charts:
        yield f"<figure>{svg_of(chart)}<figcaption>{escape(chart.title)}</figcaption></figure>"
    yield "</div>"


def queries(of: Mapping[str, str]) -> Iterable[str]:
    """Return the queries, folded, by name."""
    yield "<h2>Queries</h2><p>The numbers come from these, over the views score, shadow and outcomes.</p>"
    for name, query in of.items():
        yield f"<details><summary>{escape(name)}</summary><pre>{escape(query.strip())}</pre></details>"
