"""The tutorial's cells in a notebook that a real kernel runs: the facts in its record are true."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stack.data_directory import DataDirectory
from stack.processes import loopback_addresses, open_stack
from tests.train.repository import commit_all, git
from tests.train.test_exporters import LIMIT_S, PYTHON, ROOT
from tests.train.test_tutorial import blocks, write_repository
from understudy.control.client import RegistryClient

pytestmark = pytest.mark.long
NAME = "training.ipynb"


def write_notebook(folder: Path) -> None:
    """Write the tutorial's training as a notebook without outputs, a cell per paragraph."""
    [script] = blocks("python")
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{at}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": text,
        }
        for at, text in enumerate(script.split("\n\n"))
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / NAME).write_text(json.dumps(content, indent=1))


def execute(folder: Path, **environment: str) -> str:
    """Run the notebook in the environment of the exporters; return the texts of its cells."""
    done = subprocess.run(
        [PYTHON, "-m", "tests.train.exporters.notebook", str(folder / NAME)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "IPYTHONDIR": str(folder.parent / "ipython"),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


async def test_a_notebook_registers_with_true_facts_about_its_code(tmp_path: Path) -> None:
    folder, addresses = tmp_path / "repository", loopback_addresses()
    write_repository(folder, addresses.registry)
    write_notebook(folder)
    commit_all(folder)
    session = {"JPY_SESSION_NAME": str(folder / NAME)}  # set by Jupyter's server for its kernels

    async with open_stack(DataDirectory(tmp_path / "s"), addresses, workers=1) as stack:
        first = await asyncio.to_thread(execute, folder)
        git(folder, "commit", "-qam", "with outputs")
        named = await asyncio.to_thread(execute, folder, **session)
        with RegistryClient(addresses.registry, access=stack.access.operator) as registry:
            found = [registry.get_version("fraud", number) for number in (1, 2)]
    records: list[dict[str, Any]] = [json.loads(each.provenance_json) for each in found]

    assert "complete: the gate finds nothing\nnote: no __file__: the entry point" in first
    assert "fraud@1" in first
    assert f"cells ran in {NAME}" in named
    assert [each["code"]["entry_point"] for each in records] == ["interactive session", NAME]
    assert [each["code"]["source"]["dirty"] for each in records] == [False, False]
    commits = git(folder, "log", "--format=%H", "--reverse").split()
    assert [each["code"]["source"]["commit"] for each in records] == commits
    assert [each["seeds"]["values"]["rows"] for each in records] == [7, 7]


async def test_saved_outputs_make_a_notebook_dirty_and_the_gate_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    write_repository(folder, "127.0.0.1:1")
    write_notebook(folder)
    commit_all(folder)
    text = (folder / NAME).read_text()
    offline = text.replace("threshold=0.5)", "threshold=0.5, champion=None)", 1)
    (folder / NAME).write_text(
        offline.replace('\\nprint(run.register(reason=\\"the first model\\"))', "")
    )

    said = await asyncio.to_thread(execute, folder)

    assert "refused: " in said
    assert "code.source.dirty" in said
    assert NAME in said
