"""The entry point of a record is that of a script, a module or a notebook."""

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from understudy.train.place import place_of


def test_a_script_is_named_by_its_file(tmp_path: Path) -> None:
    place = place_of({"__file__": str(tmp_path / "fit.py")}, {}, is_notebook=False)

    assert (place.directory, place.entry_point, place.notes) == (tmp_path, "fit.py", ())


def test_a_module_is_named_by_its_import(tmp_path: Path) -> None:
    spec = ModuleSpec("training.fraud", None)
    names = {"__file__": str(tmp_path / "fraud.py"), "__spec__": spec}

    assert place_of(names, {}, is_notebook=False).entry_point == "training.fraud"


@pytest.mark.parametrize("by_editor", [True, False])
def test_a_notebook_is_named_and_its_order_of_cells_is_a_note(
    tmp_path: Path, *, by_editor: bool
) -> None:
    file = str(tmp_path / "fit.ipynb")
    kernel = {"__file__": "/kernel/__main__.py"}
    names = {**kernel, "__vsc_ipynb_file__": file} if by_editor else kernel
    environment = {} if by_editor else {"JPY_SESSION_NAME": file}

    place = place_of(names, environment, is_notebook=True)

    assert (place.directory, place.entry_point) == (tmp_path, "fit.ipynb")
    assert "order" in place.notes[0]


def test_a_session_without_a_file_says_so() -> None:
    place = place_of({}, {}, is_notebook=False)

    assert place.entry_point == "interactive session"
    assert place.notes
