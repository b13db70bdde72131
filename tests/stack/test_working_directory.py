"""No process imports anything from an operator's working directory."""

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.data_directory import DataDirectory
from stack.demo import prepare
from stack.demo_report import DemoReport
from stack.register_versions import register_versions
from stack.rollout import Operator
from stack.training import CANDIDATES
from tests.stack.understudy_command import lines_until, output_of, running
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion
from understudy.runtime import exit_codes
from understudy.runtime.supervision.python_command import python_command
from understudy.runtime.terminal.output_option import Format

OURS = ("understudy", "router", "scorer", "registry", "stack")
OF_A_MODEL_TEAM = ("domain", "features", "logs", "provenance", "runtime", "shadow", "tests")
OF_OTHERS = ("grpc", "numpy", "onnx", "onnxruntime", "pydantic", "structlog", "yaml")
PROJECT = Path(__file__).parents[2]


def hostile_folder(path: Path) -> Path:
    """Create a folder with packages that none of our processes may import."""
    for name in (*OURS, *OF_A_MODEL_TEAM, *OF_OTHERS):
        (path / name).mkdir(parents=True)
        (path / name / "__init__.py").write_text(
            f"raise ImportError('{name} of the working directory was imported')\n"
        )
    return path


@pytest.mark.slow
@pytest.mark.long
async def test_a_stack_serves_from_a_folder_with_packages_of_the_same_names(
    tmp_path: Path, unused_address: Callable[[], str]
) -> None:
    root, folder = tmp_path / "s", hostile_folder(tmp_path / "work")
    router, registry = unused_address(), unused_address()
    report = DemoReport(Format.JSON)
    prepared = prepare(DataDirectory(root), report)

    async with running(
        *("up", "--dir", str(root), "--routers", "1"),
        *("--router-listen", router, "--registry-listen", registry),
        cwd=folder,
    ) as up:
        await lines_until(up, "Ctrl-C stops it")
        with RegistryClient(registry) as client:
            operator = Operator(client, prepared.directory.router)
            author = prepared.author(registry)
            await register_versions(
                operator, author, report, CANDIDATES[:1], champion=DeployChampion(1)
            )
            await operator.until_settled(1)
        patient = f"patient={prepared.patients.kept_rows[0]}"
        async with running(
            *("score", "cancer", "--entity", patient, "--timeout-s", "30"),
            *("--router", router, "--output", "json"),
            cwd=folder,
        ) as score:
            answer = json.loads(await output_of(score))

    assert score.returncode == exit_codes.OK
    assert answer["served_by"]["version"] == 1
    assert "degradation" not in answer or not answer["degradation"].get("causes")


def test_a_childs_command_excludes_the_working_directory_from_its_path() -> None:
    assert python_command("-m", "router", "worker") == (
        *(sys.executable, "-P"),
        *("-m", "router", "worker"),
    )


def test_only_one_module_builds_the_command_line_of_a_child() -> None:
    by_hand = {
        str(file.relative_to(PROJECT))
        for folder in OURS
        for file in (PROJECT / folder).rglob("*.py")
        if any(
            isinstance(node, ast.Attribute)
            and node.attr == "executable"
            and ast.unparse(node.value) == "sys"
            for node in ast.walk(ast.parse(file.read_text()))
        )
    }

    in_front = "understudy/runtime/front"  # hands the interpreter's path to the one inside Envoy
    assert by_hand == {
        "understudy/runtime/supervision/python_command.py",
        f"{in_front}/embedded_process.py",
        f"{in_front}/embedding.py",
        f"{in_front}/envoy_files.py",
    }
