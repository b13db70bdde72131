"""The declared minimum versions are those that the generated code demands when it is imported."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMANDED = {
    "grpcio": re.compile(r"^GRPC_GENERATED_VERSION = '([\d.]+)'$", re.MULTILINE),
    "protobuf": re.compile(r"^# Protobuf Python Version: ([\d.]+)$", re.MULTILINE),
}
Version = tuple[int, ...]


@pytest.mark.parametrize("library", DEMANDED)
def test_generated_code_demands_no_newer_library_than_is_declared(library: str) -> None:
    demanded = {
        _version(found)
        for path in (ROOT / "understudy").rglob("*_pb2*.py")
        for found in DEMANDED[library].findall(path.read_text())
    }

    assert demanded
    assert max(demanded) <= _declared_floor(library)


def _declared_floor(library: str) -> Version:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (floor,) = (
        match.group(1)
        for requirement in project["dependencies"]
        if (match := re.match(rf"{library}>=([\d.]+)", requirement))
    )
    return _version(floor)


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))
