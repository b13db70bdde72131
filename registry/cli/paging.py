"""The manner in which commands list pages."""

from typing import Annotated

import typer

from understudy.runtime.terminal.screen import Screen

Limit = Annotated[int, typer.Option(min=1, max=1000, help="most rows to list, the last ones")]


def say_more(options: str) -> None:
    """Say on stderr how to list the next page."""
    Screen(stderr=True).say(f"there are more: {options}")
