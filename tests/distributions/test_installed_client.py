"""The client's wheel in clean environments, against a running router."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.distributions.builds import Wheels, floors_of
from tests.distributions.environments import Environment, canonical_name, new_environment, output_of
from tests.distributions.interpreters import interpreter_of
from tests.router.router_process import ServedScorer, open_router_process
from tests.router.samples import deployment

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SESSIONS = Path(__file__).parent / "sessions"
MINORS = (11, 12, 13, 14)
DEPENDENCIES = {
    "understudy-client",
    "googleapis-common-protos",
    "grpcio",
    "protobuf",
    "typing-extensions",
}  # the last by grpcio
FLOORS = tuple(f"{name}=={version}" for name, version in floors_of("client").items())
VERSIONS = {"floors": FLOORS, "newest": ()}


@pytest.fixture
async def router_address(tmp_path: Path) -> AsyncIterator[str]:
    async with open_router_process(
        tmp_path / "router", deployment(), {1: [ServedScorer()]}, largest_deadline_s=30
    ) as router:
        yield router.address


async def session(environment: Environment, script: str, address: str) -> dict[str, Any]:
    """Run a script in `environment`, off the event loop: the router's scorer runs on it."""
    output = await asyncio.to_thread(environment.run, "python", SESSIONS / script, address)
    seen: dict[str, Any] = json.loads(output)
    return seen


@pytest.mark.parametrize("versions", VERSIONS)
@pytest.mark.parametrize("minor", MINORS)
async def test_the_client_works_on_every_python_that_is_here(
    minor: int, versions: str, wheels: Wheels, router_address: str, tmp_path: Path
) -> None:
    interpreter = interpreter_of(minor)
    if interpreter is None:
        pytest.skip(f"no Python 3.{minor} here; see the next test")
    environment = await asyncio.to_thread(new_environment, tmp_path / "env", interpreter)
    await asyncio.to_thread(environment.install, wheels.client.path, *VERSIONS[versions])

    seen = await session(environment, "client_session.py", router_address)

    assert {*environment.distributions()} == DEPENDENCIES
    assert seen["score"] == seen["asyncio"] == pytest.approx(20.001, abs=1e-4)
    assert (seen["version"], seen["explained"], seen["streamed"]) == (1, 1, [1])
    assert (seen["candidates"], seen["outcomes"]) == (["u1", "u2"], 1)


@pytest.mark.parametrize("versions", VERSIONS)
@pytest.mark.parametrize("minor", MINORS)
def test_there_are_built_dependencies_for_every_python(
    minor: int, versions: str, wheels: Wheels, tmp_path: Path
) -> None:
    output_of(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"),
            *("--ignore-installed", "--target", "nowhere", "--python-version", f"3.{minor}"),
            *("--only-binary", ":all:", "--report"),
            tmp_path / "report.json",
            wheels.client.path,
            *VERSIONS[versions],
        ]
    )

    report = json.loads((tmp_path / "report.json").read_text())
    found = {canonical_name(each["metadata"]["name"]) for each in report["install"]}
    assert found == DEPENDENCIES


async def test_the_client_works_in_one_process_with_tritonclient(
    wheels: Wheels, router_address: str, tmp_path: Path
) -> None:
    environment = await asyncio.to_thread(new_environment, tmp_path / "env")
    await asyncio.to_thread(environment.install, wheels.client.path, "tritonclient[grpc]")

    seen = await session(environment, "beside_tritonclient.py", router_address)

    assert seen == {"live": True, "version": 1}
    assert environment.distributions()["protobuf"].startswith("6.")


def test_a_strict_type_checker_understands_a_calling_service(
    wheels: Wheels, tmp_path: Path
) -> None:
    environment = new_environment(tmp_path / "env")
    environment.install(wheels.client.path, "mypy")
    service = tmp_path / "calling_service.py"
    text = (SESSIONS / "calling_service.py").read_text()

    service.write_text(text)
    right = environment.run("mypy", "--strict", service)
    service.write_text(text.replace('{"user": user}', '{"user": 17}'))
    with pytest.raises(AssertionError, match=r'"dict\[str, int\]|"str": "int"'):
        environment.run("mypy", "--strict", service)

    assert "no issues found in 1 source file" in right
