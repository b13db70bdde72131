"""Margins in a YAML file, as operators and analysts write them."""

from pathlib import Path

from understudy.domain.errors import InvalidInputError
from understudy.domain.margins import Margins, read_margins
from understudy.runtime.strict_yaml import read_yaml


def margins_of_file(file: Path, option: str = "--margins") -> Margins:
    """Return the margins in `file`.

    Raises:
        InvalidInputError: it cannot be read, is no YAML, or a margin in it is wrong.
    """
    text = read_yaml(file, option)
    if not isinstance(text, dict):
        raise InvalidInputError.of(
            "margins", read=type(text).__name__, accepted="a mapping with primary and margins"
        )
    return read_margins(text)
