"""A comparison of arms as one HTML page that needs no network. Pure."""

from collections.abc import Iterable

from understudy.comparison.compare_arms import ArmReport
from understudy.comparison.evidence.arms import QUERIES
from understudy.comparison.render import arm_texts, html, texts
from understudy.comparison.render.day_figures import arm_day_figures
from understudy.runtime.terminal.plain_text import shown


def arm_page_of(report: ArmReport) -> str:
    """Return the page; equal reports give equal bytes."""
    pair = report.pair
    period = f"{shown(pair.first_at)} to {shown(pair.last_at)}, UTC"
    facts = [(name, str(value)) for name, value in arm_texts.arm_facts(report)]
    return html.document(
        f"{report.question.model}: challenger {pair.challenger} against champion {pair.champion}",
        f"{period}. Units count for the arm they were assigned to. "
        f"Intervals at {report.plan.confidence:.0%}, by unit.",
        [
            *html.verdict_parts(report.verdict, texts.margins_origin(report.plan, pair.first_at)),
            *html.refusals(report.comparison.refusals, report.warnings),
            *html.table("Rows", (), facts),
            *html.table("Sample ratio", arm_texts.STEPS, arm_texts.ratio_rows(report)),
            *(
                line
                for title, rows in arm_texts.measure_tables(report)
                for line in html.table(title, arm_texts.MEASURES, rows)
            ),
            *_by_day(report),
            *html.figures(arm_day_figures(report.days), versions=("champion", "challenger")),
            *html.queries(QUERIES),
        ],
    )


def _by_day(report: ArmReport) -> Iterable[str]:
    if by_day := arm_texts.day_rows(report):
        yield from html.table("Differences by day", arm_texts.DAYS, by_day)
