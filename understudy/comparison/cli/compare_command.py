"""`understudy compare`: a shadow or a challenger against the champion, with a verdict if asked for."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from understudy.comparison.cli.options import Model
from understudy.comparison.decisions.periods import parse_period, parse_since
from understudy.domain.errors import (
    CheckFailedError,
    Fault,
    InconclusiveError,
    InvalidInputError,
    UnavailableError,
)
from understudy.domain.versions import checked_model_name
from understudy.logs.place_option import LogDir
from understudy.logs.places import LogPlace
from understudy.runtime.command_line import CommandGroup
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format, Output

if TYPE_CHECKING:
    from understudy.comparison.decisions.verdict import Verdict
    from understudy.comparison.evidence.rows import Question
    from understudy.comparison.plan import MarginsOf, Plan
    from understudy.domain.margins import Costs, WrittenMargins

app = typer.Typer(cls=CommandGroup, add_completion=False, pretty_exceptions_enable=False)
_COST = re.compile(r"fp=(?P<fp>[0-9.]+),fn=(?P<fn>[0-9.]+)")
_ACCEPTED_COST = "fp=1,fn=25: the cost of a false positive and of a false negative"


@app.command()
def compare(
    log_dir: LogDir,
    model: Model,
    *,
    shadow: Annotated[int | None, typer.Option(min=1, help="version [the only one]")] = None,
    arms: Annotated[
        bool, typer.Option("--arms", help="compare live arms by assignment, not a shadow")
    ] = False,
    challenger: Annotated[
        int | None, typer.Option(min=1, help="version [the only one]; implies --arms")
    ] = None,
    champion: Annotated[int | None, typer.Option(min=1, help="version [the only one]")] = None,
    since: Annotated[str | None, typer.Option(help="90m, 2h, 7d, or a UTC time")] = None,
    until: Annotated[str | None, typer.Option(help="the same [now]")] = None,
    maturity: Annotated[
        str | None,
        typer.Option(help="90m, 2h, 7d: outcomes count for rows answered this long ago"),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            help="lowest score that is a positive decision; repeatable: the first one acts, unless "
            "margins are on record with the deployment's"
        ),
    ] = None,
    cost: Annotated[str | None, typer.Option(help="of wrong decisions: fp=1,fn=25")] = None,
    margins: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="YAML with margins, instead of those on record"
        ),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(
            envvar="UNDERSTUDY_REGISTRY",
            help="HOST:PORT: margins and threshold on record [none are asked for]",
        ),
    ] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            help="column to compare by; level, rule, hour, weekday, date … or of --slices",
        ),
    ] = None,
    slices_file: Annotated[
        Path | None,
        typer.Option(
            "--slices",
            exists=True,
            dir_okay=False,
            help="Parquet or CSV with columns by request_id",
        ),
    ] = None,
    least_kept: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="share of rows with a score, below which nothing is concluded [0.9]"
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="confidence level of intervals")
    ] = 0.95,
    page: Annotated[
        Path | None, typer.Option(dir_okay=False, help="HTML file to write, with figures")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Compare a shadow with the version that answered, or a challenger's arm with the champion's.

    Exit code 1: the verdict is WORSE. 3: it is INCONCLUSIVE, rows are too few, or too many lost.
    """
    from understudy.comparison.evidence.rows import Question  # noqa: PLC0415 - others start faster
    from understudy.comparison.plan import LEAST_KEPT, Plan, with_thresholds  # noqa: PLC0415 - as above
    from understudy.control.margins_file import margins_of_file  # noqa: PLC0415 - as above

    is_of_arms = arms or challenger is not None
    if is_of_arms:
        _refuse_options_of_shadows(shadow, slices or ())
    if slices_file is not None and not slices:
        raise InvalidInputError.of("slices", read=slices_file, accepted="at least one --slice too")
    now = datetime.now(UTC)
    end = now.replace(tzinfo=None) if until is None else parse_since(until, now=now, field="until")
    question = Question(
        checked_model_name(model),
        shadow,
        champion,
        since=None if since is None else parse_since(since, now=now),
        until=None if until is None else end,
        matured_before=None if maturity is None else end - parse_period(maturity, field="maturity"),
        challenger=challenger,
    )
    costs = None if cost is None else _costs(cost)
    plan = Plan(
        costs=costs,
        margins=None if margins is None else margins_of_file(margins),
        confidence=confidence,
        slices=tuple(dict.fromkeys(slices or ())),
        slices_file=slices_file,
        least_kept=LEAST_KEPT if least_kept is None else least_kept,
    )
    plan = with_thresholds(plan, *threshold or ())
    written = _margins_on_record(registry, question.model)
    if is_of_arms:
        _of_arms(log_dir, question, plan, written, page, output)
    else:
        _of_shadow(log_dir, question, plan, written, page, output)


def _of_shadow(
    log_dir: LogPlace,
    question: "Question",
    plan: "Plan",
    written: "MarginsOf",
    page: Path | None,
    output: Format,
) -> None:
    from understudy.comparison.compare import compare as compare_versions  # noqa: PLC0415 - as above
    from understudy.comparison.render.page import page_of  # noqa: PLC0415 - as above
    from understudy.comparison.render.table import print_comparison  # noqa: PLC0415 - as above

    with log_dir.opened(question.scope) as folder:
        report = compare_versions(folder, question, plan, written=written)
    if page is not None:
        _write_page(page_of(report), page)
    if output is Format.JSON:
        print_json(report)
    else:
        print_comparison(report)
    if report.scores is None and not report.coverage.refusals:
        raise InconclusiveError(f"{report.rows.pairs} pairs are too few to compare")
    _conclude(report.coverage.refusals, report.verdict)


def _of_arms(
    log_dir: LogPlace,
    question: "Question",
    plan: "Plan",
    written: "MarginsOf",
    page: Path | None,
    output: Format,
) -> None:
    from understudy.comparison.compare_arms import compare_live_arms  # noqa: PLC0415 - as above
    from understudy.comparison.render.arm_page import arm_page_of  # noqa: PLC0415 - as above
    from understudy.comparison.render.table import print_arms  # noqa: PLC0415 - as above

    with log_dir.opened(question.scope) as folder:
        report = compare_live_arms(folder, question, plan, written=written)
    if page is not None:
        _write_page(arm_page_of(report), page)
    if output is Format.JSON:
        print_json(report)
    else:
        print_arms(report)
    _conclude(report.comparison.refusals, report.verdict)


def _margins_on_record(registry: str | None, model: str) -> "MarginsOf":
    from understudy.comparison.plan import nothing_written  # noqa: PLC0415 - as above

    if registry is None:
        return nothing_written

    def written(version: int) -> "WrittenMargins | None":
        from understudy.control.client import RegistryClient  # noqa: PLC0415 - as above
        from understudy.control.recorded_margins import recorded_margins  # noqa: PLC0415 - as above

        with RegistryClient(registry) as client:
            return recorded_margins(client, model, version)

    return written


def _refuse_options_of_shadows(shadow: int | None, slices: Sequence[str]) -> None:
    from understudy.comparison.evidence.slice_columns import BY_MODEL  # noqa: PLC0415 - as above

    faults = [
        Fault("slice", name, "a column that no model decides: arms have other rows in each")
        for name in slices
        if name in BY_MODEL
    ]
    if shadow is not None:
        accepted = "no such option for arms, or neither --arms nor --challenger"
        faults.append(Fault("shadow", str(shadow), accepted))
    if faults:
        raise InvalidInputError(faults)


def _write_page(text: str, file: Path) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(f"page {file}", str(error)) from error


def _conclude(refusals: Sequence[str], verdict: "Verdict | None") -> None:
    from understudy.comparison.decisions.verdict import Outcome  # noqa: PLC0415 - as above

    if refusals:
        raise InconclusiveError("; ".join(refusals))
    if verdict is None:
        return
    if verdict.outcome is Outcome.INCONCLUSIVE:
        raise InconclusiveError(verdict.why)
    if verdict.outcome is Outcome.WORSE:
        raise CheckFailedError(verdict.why)


def _costs(text: str) -> "Costs":
    from understudy.domain.margins import Costs  # noqa: PLC0415 - as above

    found = _COST.fullmatch(text.replace(" ", ""))
    try:
        numbers = None if found is None else (float(found["fp"]), float(found["fn"]))
    except ValueError:
        numbers = None
    if numbers is None:
        raise InvalidInputError.of("cost", read=text, accepted=_ACCEPTED_COST)
    return Costs(*numbers)
