"""Prints what the commands found: a table for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from enum import StrEnum
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from understudy.logs.books import ModelBooks

_WIDE = 400  # columns when nobody watches: a pipe must not cut numbers


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


def print_json(value: object) -> None:
    print(json.dumps(value, default=_as_json, indent=2, allow_nan=False))  # noqa: T201 - the answer


def print_books(books: ModelBooks, form: Format) -> None:
    if form is Format.JSON:
        print_json(asdict(books))
        return
    table = Table(title=f"{books.model}: {books.answered} rows answered", title_justify="left")
    for heading in ("shadow", "sent", "ok", "error", "timeout", "share of answered", "unanswered"):
        table.add_column(heading, justify="right")
    for one in books.shadows:
        share = f"{one.ledger.sent / books.answered:.1%}" if books.answered else "-"
        counts = (one.shadow, one.ledger.sent, one.ok, one.error, one.timeout, share)
        table.add_row(*map(str, counts), str(one.unanswered))
    console_of_width().print(table)


def print_rows(
    rows: Sequence[Mapping[str, Any]], form: Format, *, with_header: bool = True
) -> None:
    """Print rows that share their keys; as JSON, one object per line."""
    if form is Format.JSON:
        for row in rows:
            plain = {name: _finite(value) for name, value in row.items()}
            print(json.dumps(plain, default=_as_json))  # noqa: T201 - the answer
        return
    if not rows:
        return
    table = Table(show_header=with_header, box=None, pad_edge=False)
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))  # no markup: it is data
    console_of_width().print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.6g}"
        case datetime():
            return value.isoformat(sep=" ", timespec="milliseconds")
        case _:
            return str(value)


def _finite(value: object) -> object:
    """JSON has no number for these."""
    return None if isinstance(value, float) and not isfinite(value) else value


def _as_json(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def console_of_width() -> Console:
    """Return a console as wide as the terminal, or wide enough for a pipe."""
    console = Console(highlight=False, markup=True)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)
