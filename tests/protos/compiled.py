"""Proto files as descriptors with their comments, by the compiler that generates our code."""

import subprocess
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = ROOT / ".venv-protos"
_PYTHON = _ENVIRONMENT / "bin" / "python"
_LIMIT_S = 120.0


def compiled(sources: Path, scratch: Path) -> list[FileDescriptorProto]:
    """Return the descriptors of all proto files below `sources`."""
    _require_compiler()
    found = scratch / "found.binpb"
    names = sorted(str(path.relative_to(sources)) for path in sources.rglob("*.proto"))
    done = subprocess.run(
        [
            *(_PYTHON, "-m", "grpc_tools.protoc"),
            *(f"--proto_path={sources}", f"--descriptor_set_out={found}", "--include_source_info"),
            *names,
        ],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(FileDescriptorSet.FromString(found.read_bytes()).file)


def well_known_protos() -> Path:
    """Return the folder of google/protobuf/*.proto that the compiler ships."""
    _require_compiler()
    (folder,) = _ENVIRONMENT.glob("lib/python*/site-packages/grpc_tools/_proto")
    return folder


def _require_compiler() -> None:
    if not _PYTHON.exists():
        pytest.fail("the compiler is not installed: run `make protos`")
