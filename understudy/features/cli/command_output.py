"""How the feature commands speak: one table or JSON on stdout, one line on stderr for an error."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from understudy.domain.errors import InvalidInputError, UnderstudyError
from understudy.runtime import exit_codes
from understudy.runtime.command_line import exit_code_of


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


ViewsFile = Annotated[Path, typer.Option("--views", help="YAML file with the feature views.")]
StoreUrl = Annotated[
    str, typer.Option("--store", help="lmdb:FOLDER or aerospike://HOST:PORT/NAMESPACE.")
]
Output = Annotated[Format, typer.Option("--output", help="For people or for programs.")]

_PIPE_COLUMNS = 200


def print_rows(
    rows: Sequence[Mapping[str, Any]], output: Format, *, columns: Sequence[str]
) -> None:
    """Print rows: `columns` of them as a table, or all they hold as JSON."""
    if output is Format.JSON:
        print_json(list(rows))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*[_shown(row[column]) for column in columns])
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    Console(width=width, highlight=False, markup=False).print(table)


def print_json(value: Any) -> None:
    """Print `value` as JSON; numbers that JSON lacks become null."""
    typer.echo(json.dumps(_json(value), indent=2, ensure_ascii=False))


@contextmanager
def told_in_one_line(*, where: Path | None = None) -> Iterator[None]:
    """Turn our errors into a line per fault on stderr and an exit code.

    Args:
        where: the file that faults are in, when there are several.
    """
    try:
        yield
    except InvalidInputError as error:
        for fault in error.faults:
            is_told = where is None or fault.field == str(where)
            place = "" if is_told else f"{where}: "
            typer.echo(f"understudy features: {place}{fault}", err=True)
        raise typer.Exit(exit_codes.DATA_ERROR) from error
    except UnderstudyError as error:
        typer.echo(f"understudy features: {error}", err=True)
        raise typer.Exit(exit_code_of(error)) from error


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def _json(value: Any) -> Any:
    match value:
        case float() if not isfinite(value):
            return None
        case Mapping():
            return {key: _json(each) for key, each in value.items()}
        case list() | tuple():
            return [_json(each) for each in value]
        case _:
            return value
