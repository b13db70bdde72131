"""The place of a training: a script, a module, or a notebook, which has no file of its own."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NOTEBOOK_NAME = "__vsc_ipynb_file__"  # set by an editor in the notebook's namespace
_NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"  # set by Jupyter for its kernels


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of the code, the name of its entry point, and notes for the author."""

    directory: Path
    entry_point: str
    notes: tuple[str, ...] = ()


def find_place() -> Place:
    """Return the place of the running program."""
    return place_of(
        vars(sys.modules["__main__"]), os.environ, is_notebook="ipykernel" in sys.modules
    )


def place_of(
    names: Mapping[str, Any], environment: Mapping[str, str], *, is_notebook: bool
) -> Place:
    """Return the place of a program.

    Args:
        names: of its main module.
        environment: of its process.
        is_notebook: a kernel of Jupyter runs it; the main module's file is then the kernel's.
    """
    file, spec = names.get("__file__"), names.get("__spec__")
    if not is_notebook and file is not None:
        path = Path(file).resolve()
        return Place(path.parent, path.name if spec is None else spec.name)
    given = [names.get(_NOTEBOOK_NAME), environment.get(_NOTEBOOK_VARIABLE)]
    known = [Path(each) for each in given if each is not None and str(each).endswith(".ipynb")]
    if not known:
        note = "no __file__: the entry point is recorded as an interactive session"
        return Place(Path.cwd(), "interactive session", (note,))
    path = known[0]
    note = f"no __file__: cells ran in {path.name}; the record cannot tell in which order"
    return Place(path.parent if path.is_absolute() else Path.cwd(), path.name, (note,))
