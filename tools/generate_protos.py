"""The generator of the code and the page of protos/, and the check that both are current.

It runs in the environment of requirements/protos.lock, which `make protos` creates.
"""

import argparse
import filecmp
import sys
from importlib.resources import files
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from grpc_tools import protoc

from tools.api_page import PAGE, api_page

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "protos"
BESIDE_PYTHON = Path(sys.executable).parent
GENERATED = (
    "understudy/scoring/v1",
    "understudy/registry/v1",
    "understudy/router/v1",
    "understudy/oip",
)


def generate(output_root: Path) -> None:
    """Write the generated packages below `output_root`, replacing the existing ones.

    Raises:
        SystemExit: protoc rejected a file; its message is already on stderr.
    """
    for folder in GENERATED:
        rmtree(output_root / folder, ignore_errors=True)
    exit_code = protoc.main(
        [
            "protoc",
            f"--proto_path={SOURCES}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--python_out={output_root}",
            f"--grpc_python_out={output_root}",
            f"--mypy_out={output_root}",
            f"--mypy_grpc_out={output_root}",
            # mypy-protobuf's plugins are next to the interpreter and not on PATH.
            f"--plugin=protoc-gen-mypy={BESIDE_PYTHON / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={BESIDE_PYTHON / 'protoc-gen-mypy_grpc'}",
            *(str(path) for path in sorted(SOURCES.rglob("*.proto"))),
        ]
    )
    if exit_code != 0:
        sys.exit(exit_code)
    for folder in GENERATED:
        (output_root / folder / "__init__.py").touch()
        _, package, *_ = Path(folder).parts
        (output_root / "understudy" / package / "py.typed").touch()


def stale_files() -> list[str]:
    """Return the generated files that differ from the current output for protos/."""
    with TemporaryDirectory() as scratch:
        fresh_root = Path(scratch)
        generate(fresh_root)
        fresh = _generated_below(fresh_root)
        committed = _generated_below(ROOT)
        changed = {
            name
            for name in fresh & committed
            if not filecmp.cmp(fresh_root / name, ROOT / name, shallow=False)
        }
        return sorted(changed | (fresh ^ committed))


def _generated_below(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for folder in GENERATED
        for path in (root / folder).rglob("*.py*")
        if "__pycache__" not in path.parts
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when stale")
    page = api_page(SOURCES, str(files("grpc_tools") / "_proto"))
    if not parser.parse_args().check:
        generate(ROOT)
        (ROOT / PAGE).write_text(page)
        return
    stale = stale_files()
    if (ROOT / PAGE).read_text() != page:
        stale.append(str(PAGE))
    if stale:
        sys.exit("generated code is stale (run `make protos`): " + ", ".join(stale))


if __name__ == "__main__":
    main()
