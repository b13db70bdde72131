"""The contents of the two wheels, and their work side by side."""

import json
import re
from pathlib import Path

import pytest

from tests.distributions.builds import (
    PROJECTS,
    ROOT,
    Wheel,
    Wheels,
    build_editable,
    build_wheel,
    unpacked_source,
)
from tests.distributions.environments import Environment, offline_environment

PROCESSES = ("router", "scorer", "registry", "stack")
OF_THE_CLIENT = ("understudy.client", "understudy.scoring.v1.scoring_pb2", "understudy.oip")
OF_SERVING = ("understudy.runtime.settings", "router.settings", "registry.settings", "stack.up")
ORIGINS = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


@pytest.fixture(params=["client", "serving"])
def built(request: pytest.FixtureRequest, wheels: Wheels) -> Wheel:
    return getattr(wheels, request.param)  # type: ignore[no-any-return] # a field of Wheels


def test_every_file_of_the_packages_is_in_exactly_one_wheel(wheels: Wheels) -> None:
    in_the_checkout = {
        str(path.relative_to(ROOT))
        for package in ("understudy", *PROCESSES)
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".pyi", ".typed"}
    }

    built = wheels.client.files | wheels.serving.files
    assert built - wheels.client.protos.keys() == in_the_checkout
    assert wheels.client.files & wheels.serving.files == set()


def test_the_client_ships_every_proto_beside_its_generated_code(wheels: Wheels) -> None:
    protos = wheels.client.protos

    assert protos == {
        str(path.relative_to(ROOT / "protos")): path.read_text()
        for path in ROOT.glob("protos/**/*.proto")
    }
    assert {name.replace(".proto", "_pb2.py") for name in protos} <= wheels.client.files


def test_the_client_brings_no_top_level_module_but_understudy(wheels: Wheels) -> None:
    assert {name.partition("/")[0] for name in wheels.client.files} == {"understudy"}


def test_the_client_depends_on_nothing_but_grpc_and_its_messages(wheels: Wheels) -> None:
    required = wheels.client.metadata().get_all("Requires-Dist", [])

    names = sorted(re.split(r"[<>=]", each)[0] for each in required)
    assert names == ["googleapis-common-protos", "grpcio", "protobuf"]


def test_serving_needs_the_client_of_its_own_version(wheels: Wheels) -> None:
    version = wheels.client.metadata()["Version"]

    assert wheels.serving.metadata()["Version"] == version
    assert f"understudy-client=={version}" in wheels.serving.metadata().get_all("Requires-Dist", [])


def test_no_serving_process_needs_what_only_training_needs(wheels: Wheels) -> None:
    required = wheels.serving.metadata().get_all("Requires-Dist", [])

    training = [each for each in required if re.match(r"scikit-learn|skl2onnx|onnxmltools", each)]
    extras = [each.partition("; ")[2] for each in training]
    assert sorted(extras) == ["extra == 'demo'"] * 2 + ["extra == 'train'"] * 2


def test_neither_wheel_owns_the_shared_package(built: Wheel) -> None:
    """An `__init__.py` in one would keep Python from searching the other."""
    assert "understudy/__init__.py" not in built.files


def test_every_package_below_understudy_is_marked_as_typed(built: Wheel) -> None:
    packages = {name.split("/")[1] for name in built.files if name.startswith("understudy/")}

    assert packages
    assert {f"understudy/{package}/py.typed" for package in packages} <= built.files


def test_the_licence_comes_along(built: Wheel) -> None:
    assert built.metadata()["License-Expression"] == "Apache-2.0"
    assert built.licences["LICENSE"] == (ROOT / "LICENSE").read_text()


def test_the_notice_comes_along_with_the_services(wheels: Wheels) -> None:
    assert wheels.serving.licences["NOTICE"] == (ROOT / "NOTICE").read_text()


@pytest.mark.parametrize("name", PROJECTS)
def test_a_source_distribution_builds_the_same_wheel(
    name: str, wheels: Wheels, tmp_path: Path
) -> None:
    unpacked = unpacked_source(PROJECTS[name], tmp_path / "source")

    rebuilt = build_wheel(unpacked, tmp_path / "wheel")

    direct: Wheel = getattr(wheels, name)
    assert rebuilt.files == direct.files
    assert rebuilt.licences == direct.licences
    assert rebuilt.metadata().items() == direct.metadata().items()


@pytest.mark.long
def test_both_wheels_work_in_one_environment(wheels: Wheels, tmp_path: Path) -> None:
    environment = offline_environment(tmp_path / "env", wheels.client.path, wheels.serving.path)

    origins = _origins(environment, *OF_THE_CLIENT, *OF_SERVING)

    assert set(origins) == {*OF_THE_CLIENT, *OF_SERVING}
    for name, origin in origins.items():
        assert origin.is_relative_to(environment.folder), name
    assert "Champion/challenger" in environment.run("understudy", "--help")


@pytest.mark.long
def test_an_editable_installation_works_beside_the_client_wheel(
    wheels: Wheels, tmp_path: Path
) -> None:
    editable = build_editable(ROOT, tmp_path)
    environment = offline_environment(tmp_path / "env", wheels.client.path, editable)

    origins = _origins(environment, *OF_THE_CLIENT, *OF_SERVING)

    for name in OF_THE_CLIENT:
        assert origins[name].is_relative_to(environment.folder), name
    for name in OF_SERVING:
        assert origins[name].is_relative_to(ROOT), name
    assert "Champion/challenger" in environment.run("understudy", "--help")


def _origins(environment: Environment, *modules: str) -> dict[str, Path]:
    """Return the file of each imported module."""
    found = json.loads(environment.run("python", "-c", ORIGINS, *modules))
    return {name: Path(origin) for name, origin in found.items()}
