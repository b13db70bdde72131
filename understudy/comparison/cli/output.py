"""Output of the commands' results: a table for people, JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from understudy.logs.accounts import WriterAccount, WriterState
from understudy.logs.books import ModelBooks
from understudy.logs.readable_files import LeftOut
from understudy.runtime.terminal.json_output import print_json, print_json_lines
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen

if TYPE_CHECKING:
    from understudy.comparison.import_outcomes import ImportedOutcomes

_MOST_RANGES = 20
_MOST_FILES = 5
_WRITERS = (
    *("writer", "log", "state", "offered", "found", "removed", "missing"),
    *("dropped", "failed", "repeated"),
)
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
    screen = Screen()
    screen.table(_BOOKS, rows, title=f"{books.model}: {books.answered} rows answered")
    screen.table(_WRITERS, [_account_row(each) for each in books.writers], title="writers")
    for account in books.writers:
        for line in _missing_lines(account):
            screen.say(line)


def _account_row(account: WriterAccount) -> tuple[object, ...]:
    return (
        *(account.writer_id, account.log.value, account.state.value),
        "not known" if account.offered is None else account.offered,
        *(account.found, account.removed, account.missing_rows, account.dropped, account.failed),
        account.repeated,
    )


def _missing_lines(account: WriterAccount) -> Iterator[str]:
    """Name the rows that are missing, by number."""
    shown = ", ".join(
        str(each.first) if each.rows == 1 else f"{each.first}-{each.last}"
        for each in account.missing[:_MOST_RANGES]
    )
    if shown:
        more = len(account.missing) - _MOST_RANGES
        rest = f" and {more} more ranges" if more > 0 else ""
        yet = " (its writer lives: perhaps not yet)" if account.state is WriterState.WRITING else ""
        yield f"missing in {account.log.value} of {account.writer_id}{yet}: {shown}{rest}"
    if account.offered is None:
        yield (
            f"the counts of {account.writer_id} were lost with its machine: rows of "
            f"{account.log.value} after the last one found may be missing too"
        )


def say_left_out(left_out: Sequence[LeftOut]) -> None:
    """Name files that were not read, on stderr."""
    screen = Screen(stderr=True)
    for each in left_out[:_MOST_FILES]:
        screen.say(f"left out: {each.path}: {each.why}")
    if len(left_out) > _MOST_FILES:
        screen.say(f"left out: {len(left_out) - _MOST_FILES} more files")


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
