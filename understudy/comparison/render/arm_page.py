"""A comparison of arms as one HTML page that needs no network. Pure."""

from collections.abc import Iterable

from understudy.comparison.compare_arms import ArmReport
from understudy.comparison.evidence import slice_columns
from understudy.comparison.evidence.arms import COMPARED, QUERIES
from understudy.comparison.render import arm_texts, html, slice_texts, texts
from understudy.comparison.render.arm_figures import arm_figures
from understudy.comparison.render.coverage_texts import Facts
from understudy.runtime.terminal.plain_text import shown


def arm_page_of(report: ArmReport) -> str:
    """Return the page; equal reports give equal bytes."""
    pair = report.pair
    period = f"{shown(pair.first_at)} to {shown(pair.last_at)}, UTC"
    return html.document(
        f"{report.question.model}: challenger {pair.challenger} against champion {pair.champion}",
        f"{period}. Units count for the arm they were assigned to. "
        f"Intervals at {report.plan.confidence:.0%}, by unit.",
        [
            *html.verdict_parts(report.verdict, texts.margins_origin(report.plan, pair.first_at)),
            *html.refusals(report.comparison.refusals, report.warnings),
            *html.table("Rows", (), _plain(arm_texts.arm_facts(report))),
            *html.table("Sample ratio", arm_texts.STEPS, arm_texts.ratio_rows(report)),
            *_distances(report),
            *(
                line
                for title, rows in arm_texts.measure_tables(report)
                for line in html.table(title, arm_texts.MEASURES, rows)
            ),
            *(
                line
                for title, rows in slice_texts.slice_tables(report.slices)
                for line in html.table(title, slice_texts.SLICES, rows)
            ),
            *_by_day(report),
            *html.figures(arm_figures(report), versions=("champion", "challenger")),
            *html.queries(_queries(report)),
        ],
    )


def _distances(report: ArmReport) -> Iterable[str]:
    if facts := arm_texts.distance_facts(report):
        yield from html.table("Distances of the scores", (), _plain(facts))


def _plain(facts: Facts) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in facts]


def _queries(report: ArmReport) -> dict[str, str]:
    of_slices = {} if report.slices is None else slice_columns.queries(COMPARED)
    return QUERIES | of_slices


def _by_day(report: ArmReport) -> Iterable[str]:
    if by_day := arm_texts.day_rows(report):
        yield from html.table("Differences by day", arm_texts.DAYS, by_day)
