"""The option `--output`, which every command has."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

_NAME = "--output"


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


Output = Annotated[Format, typer.Option(_NAME, help="table for people, json for programs")]


def requested_format(arguments: Sequence[str]) -> Format:
    """Return the format that a command line requests, even if its other arguments are invalid."""
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == f"{_NAME}={Format.JSON}" or (
            argument == _NAME and arguments[index + 1 : index + 2] == [Format.JSON]
        ):
            return Format.JSON
    return Format.TABLE
