"""The declared minimum versions against those that the generated code requires."""

import re

import pytest

from tests.distributions.builds import PROJECTS, ROOT, floors_of

DEMANDED = {
    "grpcio": re.compile(r"^GRPC_GENERATED_VERSION = '([\d.]+)'$", re.MULTILINE),
    "protobuf": re.compile(r"^# Protobuf Python Version: ([\d.]+)$", re.MULTILINE),
}


@pytest.mark.parametrize("distribution", PROJECTS)
@pytest.mark.parametrize("library", DEMANDED)
def test_generated_code_demands_no_newer_library_than_is_declared(
    distribution: str, library: str
) -> None:
    demanded = {
        _version(found)
        for path in (ROOT / "understudy").rglob("*_pb2*.py")
        for found in DEMANDED[library].findall(path.read_text())
    }

    assert demanded
    assert max(demanded) <= _version(floors_of(distribution)[library])


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
