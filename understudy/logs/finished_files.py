"""The finished files of a log."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from understudy.domain.errors import InvalidInputError
from understudy.logs.schema import LogKind

_DEPTH = 2  # model=…/date=…/


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the logs to read; None: no bound."""

    model: str | None = None
    since: date | None = None  # the first day, UTC
    until: date | None = None  # the last day

    def has(self, folder: str) -> bool:
        """Return whether a folder `model=…` or `date=…` is in scope; other folders never are."""
        name, _, value = folder.partition("=")
        if name == "model":
            return self.model is None or value == self.model
        if name != "date":
            return False
        try:
            day = date.fromisoformat(value)
        except ValueError:
            return False
        return (self.since is None or day >= self.since) and (
            self.until is None or day <= self.until
        )


EVERYTHING = Scope()


def finished_files(root: Path, kind: LogKind, scope: Scope = EVERYTHING) -> list[Path]:
    """Return the Parquet files of one log, sorted by path, below the resolved `root`.

    Raises:
        InvalidInputError: a link leads out of the directory. A reader that followed it would show
            a file of the reader's rights to an analyst who can only write links.
    """
    base = root.resolve()
    folder = base / kind.value
    if not os.path.lexists(folder):
        return []
    _check_inside(base, folder)
    return sorted(_files(base, folder, _DEPTH, scope))


def model_of(path: Path) -> str:
    """Return the model of a finished file."""
    return path.parent.parent.name.removeprefix("model=")


def _files(base: Path, folder: Path, depth: int, scope: Scope) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                _check_inside(base, Path(entry.path))
            if depth:
                if scope.has(entry.name) and entry.is_dir():
                    yield from _files(base, Path(entry.path), depth - 1, scope)
            elif entry.name.endswith(".parquet") and entry.is_file():
                yield Path(entry.path)


def _check_inside(base: Path, path: Path) -> None:
    if not path.resolve().is_relative_to(base):
        raise InvalidInputError.of(
            str(path.relative_to(base)),
            read="a link out of the log directory",
            accepted="a file, or a link inside the directory",
        )
