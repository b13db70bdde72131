"""Output of the commands' results: a table for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from understudy.logs.books import ModelBooks
from understudy.runtime.terminal.json_output import print_json, print_json_lines
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.comparison.import_outcomes import ImportedOutcomes

_BOOKS = ("shadow", "offered", "sampled out", "dropped", "ok", "error", "timeout", "unanswered")


def print_books(books: ModelBooks, form: Format) -> None:
    if form is Format.JSON:
        print_json(books)
        return
    rows: list[tuple[object, ...]] = []
    for one in books.shadows:
        ledger = one.ledger
        given = (one.shadow, ledger.offered, ledger.sampled_out, ledger.dropped)
        rows.append((*given, ledger.ok, ledger.error, ledger.timeout, one.unanswered))
    Screen().table(_BOOKS, rows, title=f"{books.model}: {books.answered} rows answered")


def print_imported(model: str, done: "ImportedOutcomes", form: Format) -> None:
    if form is Format.JSON:
        print_json({"model": model, **asdict(done)})
        return
    screen = Screen()
    screen.say(
        f"{done.imported} outcomes of {model} imported, {done.repeated} known already; "
        f"{done.matched} match requests in the score log, {done.unmatched} do not"
    )
    if done.conflicting:
        screen.say(f"{done.conflicting} conflict: another label of the same request and time")
    if done.from_future:
        screen.say(f"{done.from_future} were observed in the future, and count as the latest")


def print_rows(
    rows: Sequence[Mapping[str, Any]], form: Format, *, with_header: bool = True
) -> None:
    """Print rows that share their keys; as JSON, one object per line."""
    if form is Format.JSON:
        print_json_lines(rows)
    else:
        Screen().rows(rows, with_header=with_header)
