"""Every example runs from a clean checkout, and the facts that it asserts hold."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from tests.train.repository import commit_all
from understudy.train.defaults import read_defaults

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "local_stack")
LAST_LINES = {
    "credit": "anna, a boat, which no training row had",
    "fraud": "an unknown payer pays 40",
    "rerank": "NDCG@10",
}
LIMIT_S = 1_800.0


def test_the_page_lists_every_example() -> None:
    page = (FOLDER / "README.md").read_text()

    assert set(EXAMPLES) == set(LAST_LINES)
    assert [name for name in EXAMPLES if f"[{name}.py]({name}.py)" not in page] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_its_features_and_policy_in_the_shared_files(name: str) -> None:
    defaults = read_defaults(FOLDER)

    assert defaults.features_of(name)
    assert {"uri", "label"} <= set(defaults.data_of(name))
    assert {"intended_use", "licence"} <= set(defaults.policy_of(name))


@pytest.mark.long
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_shows_the_facts_that_it_states(name: str, tmp_path: Path) -> None:
    ignored = ("__pycache__",)
    copytree(FOLDER, tmp_path / "examples", ignore=lambda *_: ignored)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.lock").write_bytes(
        (ROOT / "requirements" / "dev.lock").read_bytes()
    )
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    commit_all(tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(LAST_LINES[name])
