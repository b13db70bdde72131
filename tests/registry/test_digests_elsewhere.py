"""The programs on the page about digests compute our digests, in other languages."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.registry.test_heads import export_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "digests.md"


def program(language: str, mark: str) -> str:
    """Return the block of the page in a language that contains `mark`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = (str(block) for block in blocks if mark in block)
    return found


@pytest.fixture
def export(two_versions: Path, tmp_path: Path) -> Path:
    directory = shutil.copytree(two_versions, tmp_path / "registry")
    file = tmp_path / "export.jsonl"
    file.write_text("".join(f"{line}\n" for line in export_of(directory)))
    return file


def rows_of(export: Path, table: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in export.read_text().splitlines()]
    return [line["row"] for line in lines if line.get("table") == table]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_a_program_in_javascript_computes_every_digest(export: Path, tmp_path: Path) -> None:
    script = tmp_path / "digests.js"
    script.write_text(program("js", "version_content"))

    done = subprocess.run(["node", script, export], capture_output=True, text=True, check=True)

    log = rows_of(export, "audit")
    registered = [json.loads(str(row["details_json"])) for row in log]
    assert done.stdout.splitlines() == [
        *(f"row {row['sequence']} {row['digest']}" for row in log),
        *(f"version {each['version']} {each['digest']}" for each in registered),
    ]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_computes_the_digest_of_a_row(export: Path) -> None:
    words = program("sh", ".row.sequence").replace("== 3", "== 2").replace("FILE", str(export))

    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True)

    assert done.stdout.split()[0] == rows_of(export, "audit")[1]["digest"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_computes_the_digest_of_an_artifact(two_versions: Path, export: Path) -> None:
    version = rows_of(export, "versions")[0]
    artifact = export.parent / "artifact"
    artifact.mkdir()
    for file in json.loads(str(version["files_json"])):
        stored = two_versions / "artifacts" / "sha256" / file["sha256"][:2] / file["sha256"]
        shutil.copyfile(stored, artifact / file["path"])
    words = program("sh", "cd artifact")

    done = subprocess.run(
        ["sh", "-c", words], capture_output=True, text=True, check=True, cwd=artifact.parent
    )

    assert done.stdout.split()[0] == version["artifact_digest"]
