"""The tutorial holds, word for word: its files, its training, its commands, its score."""

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stack.data_directory import DataDirectory
from stack.processes import loopback_addresses, open_stack
from tests.train.repository import commit_all
from understudy.control.client import DEFAULT_REGISTRY, RegistryClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "from-notebook-to-champion.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
NAMED = re.compile(r"# ([\w.]+)\n")
SCRIPTS = Path(sys.executable).parent
LIMIT_S = 300.0


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text()) if found == kind]


def write_repository(folder: Path, registry: str) -> None:
    """Write the files of the page into a new folder."""
    folder.mkdir()
    for text in (*blocks("yaml"), *blocks("toml"), *blocks("python")):
        named = NAMED.match(text)
        assert named is not None
        (folder / named[1]).write_text(text.replace(DEFAULT_REGISTRY, registry))
    (folder / "requirements.lock").write_text("numpy==2\n")


async def output_of(folder: Path, *command: str, **environment: str) -> str:
    """Run a command in `folder`, beside the stack; return its output."""
    places = {"PATH": f"{SCRIPTS}:/usr/bin:/bin", "HOME": str(folder.parent)}
    places |= {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"], **environment}
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=places,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_record_takes_fewer_than_ten_lines() -> None:
    [script] = blocks("python")
    begin = [line for line in script.splitlines() if line.startswith("run = ")]
    rest = script[script.index("quarter = ") :].strip().splitlines()

    assert len(begin) + len(rest) == 9


def test_the_counted_lines_are_those_of_the_page() -> None:
    files = [
        line for kind in ("yaml", "toml") for text in blocks(kind) for line in text.split("\n")
    ]
    once = [line for line in files if line and not line.startswith("#")]

    assert f"9 for each training, {len(once)} once per repository" in PAGE.read_text()


@pytest.mark.long
async def test_a_first_time_author_gets_to_a_champion(tmp_path: Path) -> None:
    folder, addresses = tmp_path / "repository", loopback_addresses()
    write_repository(folder, addresses.registry)
    commit_all(folder)
    [commands] = blocks("sh")
    deploy, score = (tuple(shlex.split(line)) for line in commands.strip().splitlines())
    places = {
        "UNDERSTUDY_REGISTRY": addresses.registry,
        "UNDERSTUDY_ROUTER": addresses.router,
    }

    async with open_stack(DataDirectory(tmp_path / "s"), addresses, workers=1):
        said = await output_of(folder, sys.executable, "training.py")
        await output_of(folder, *deploy, **places)
        answered = await output_of(
            folder, *score, "--timeout-s", "60", "--output", "json", **places
        )
        with RegistryClient(addresses.registry) as registry:
            versions = registry.list_versions("fraud")

    fitted = (folder / "training.py").read_text().partition("quarter = ")[0]
    (folder / "fitted.py").write_text(
        f"{fitted}\nprint(model.predict_proba([[250, 33, 1]])[0, 1])\n"
    )
    own = float((await output_of(folder, sys.executable, "fitted.py")).splitlines()[-1])
    assert said.splitlines() == ["complete: the gate finds nothing", "fraud@1"]
    assert len(versions) == 1
    assert json.loads(answered)["score"] == pytest.approx(own, abs=1e-6)
