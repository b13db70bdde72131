"""Output for people: lines and tables on a terminal, unwrapped lines in a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from understudy.runtime.terminal.plain_text import harmless, shown

_PIPE_COLUMNS = 10_000  # a pipe has no width: no cell is truncated or wrapped
Styled = tuple[str, str]  # a text and its style in rich, e.g. ("holds", "green")


class Screen:
    """Prints text literally: without markup, emoji codes or control characters."""

    def __init__(
        self, *, file: TextIO | None = None, stderr: bool = False, quiet: bool = False
    ) -> None:
        console = Console(
            file=file, stderr=stderr, quiet=quiet, markup=False, highlight=False, emoji=False
        )
        if not console.is_terminal:
            console.width = _PIPE_COLUMNS
        self.console = console  # for progress bars

    def say(self, *parts: str | Styled) -> None:
        """Print one line; the terminal wraps it, so that it can be copied as one line."""
        self.console.print(_styled(parts), soft_wrap=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str = "",
        with_header: bool = True,
    ) -> None:
        """Print rows of cells below the column names; columns of numbers are aligned to the right."""
        cells = list(rows)
        table = Table(
            title=Text(harmless(title), style="bold") if title else None,
            title_justify="left",
            box=None,
            pad_edge=False,
            show_header=with_header,
        )
        for index, name in enumerate(columns):
            are_numbers = bool(cells) and all(_is_number(row[index]) for row in cells)
            table.add_column(Text(harmless(name)), justify="right" if are_numbers else "left")
        for row in cells:
            table.add_row(*(Text(shown(cell)) for cell in row))
        self._print_table(table)

    def rows(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        columns: Sequence[str] = (),
        with_header: bool = True,
    ) -> None:
        """Print rows that have the same keys: all columns, or only `columns`."""
        if not rows:
            return
        names = list(columns) or list(rows[0])
        self.table(
            [name.replace("_", " ") for name in names] if columns else names,
            [[row[name] for name in names] for row in rows],
            with_header=with_header,
        )

    def _print_table(self, table: Table) -> None:
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as printed:
            self.console.print(table)
        for line in printed.get().splitlines():  # rich also pads the last column
            self.console.print(Text(line.rstrip()), soft_wrap=True)

    def facts(self, facts: Iterable[tuple[str, object]], *, title: str = "") -> None:
        """Print a name and a value per line."""
        self.table(("", ""), list(facts), title=title, with_header=False)


def _styled(parts: Sequence[str | Styled]) -> Text:
    text = Text()
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append(harmless(content), style=style or None)
    return text


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)
