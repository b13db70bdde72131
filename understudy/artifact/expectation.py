"""The registered properties that a host expects of an artifact, as a JSON file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.domain.errors import InvalidInputError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ArtifactFile, TensorSpec


@dataclass(frozen=True, slots=True)
class Expectation:
    """The registered properties of an artifact; empty parts are not checked."""

    files: tuple[ArtifactFile, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    golden_tolerance: float | None = None  # None: use the setting
    joins_rows: bool = True  # False: each row runs alone


def expectation_of(version: VersionSpec) -> Expectation:
    return Expectation(
        version.files, version.inputs, version.outputs, version.golden_tolerance, version.joins_rows
    )


def write_expectation(path: Path, expectation: Expectation) -> None:
    """Write `expectation` to `path` atomically."""
    content = {
        "files": [[file.path, file.sha256, file.size_bytes] for file in expectation.files],
        "inputs": [_written(spec) for spec in expectation.inputs],
        "outputs": [_written(spec) for spec in expectation.outputs],
        "golden_tolerance": expectation.golden_tolerance,
        "joins_rows": expectation.joins_rows,
    }
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_text(json.dumps(content))
    scratch.replace(path)


def read_expectation(path: Path) -> Expectation:
    """Return the expectation written by `write_expectation`.

    Raises:
        InvalidInputError: the file cannot be read as an expectation.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return Expectation(
            files=tuple(ArtifactFile(*entry) for entry in content["files"]),
            inputs=tuple(_read(entry) for entry in content["inputs"]),
            outputs=tuple(_read(entry) for entry in content["outputs"]),
            golden_tolerance=content["golden_tolerance"],
            joins_rows=content["joins_rows"],
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidInputError.of(
            "expectation", read=str(path), accepted="a file written by the scorer host"
        ) from error


def _written(spec: TensorSpec) -> list[object]:
    return [spec.name, spec.datatype, list(spec.shape)]


def _read(entry: list[Any]) -> TensorSpec:
    name, datatype, shape = entry
    return TensorSpec(name, datatype, tuple(shape))
