"""The wheels of the services in clean environments."""

import sys
from pathlib import Path
from shutil import copytree

import pytest

from tests.distributions.builds import Wheels, floors_of
from tests.distributions.environments import Environment, new_environment
from tests.distributions.interpreters import interpreter_of
from tests.stack.understudy_command import lines_until, running
from understudy.client import AsyncScoringClient, ScoreAnswer
from understudy.runtime.free_port import free_ports

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_200)]

MINORS = (11, 12, 13)
TRAINING = {"scikit-learn", "skl2onnx"}


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished demo of this checkout: three registered models, one deployed."""
    folder = tmp_path_factory.mktemp("d") / "demo"
    Environment(Path(sys.prefix)).run("understudy", "demo", "--dir", folder)
    return folder


def _understudy(environment: Environment) -> Path:
    return environment.folder / "bin" / "understudy"


async def _scored_by(environment: Environment, folder: Path) -> ScoreAnswer:
    """Return the answer of a stack that `environment` runs on `folder`."""
    router, registry = (f"127.0.0.1:{port}" for port in free_ports(2))
    async with running(
        *("up", "--dir", str(folder), "--routers", "1"),
        *("--router-listen", router, "--registry-listen", registry),
        script=_understudy(environment),
        cwd=environment.folder,
    ) as process:
        await lines_until(process, "Ctrl-C stops it")
        async with AsyncScoringClient(router, timeout_s=30.0) as client:
            return await client.score("cancer", {"patient": "17"})


@pytest.mark.parametrize("minor", MINORS)
async def test_the_wheels_serve_on_every_python_that_is_here(
    minor: int, wheels: Wheels, left_behind: Path, tmp_path: Path
) -> None:
    interpreter = interpreter_of(minor)
    if interpreter is None:
        pytest.skip(f"no Python 3.{minor} here")
    environment = new_environment(tmp_path / "env", interpreter)
    environment.install(wheels.client.path, wheels.serving.path)

    answer = await _scored_by(environment, copytree(left_behind, tmp_path / "d"))

    version = wheels.serving.metadata()["Version"]
    assert f"understudy-serving {version}" in environment.run("understudy", "--version")
    assert answer.served_by.version == 1
    assert 0.0 <= answer.score <= 1.0
    assert not TRAINING & {*environment.distributions()}


def test_at_its_floors_the_whole_demo_runs(wheels: Wheels, tmp_path: Path) -> None:
    environment = new_environment(tmp_path / "env")
    floors = floors_of("serving", extra="demo")
    environment.install(
        wheels.client.path,
        f"{wheels.serving.path}[demo]",
        *(f"{name}=={version}" for name, version in floors.items()),
    )

    output = environment.run("understudy", "demo", "--dir", tmp_path / "d")

    assert "holds  no call failed" in output
