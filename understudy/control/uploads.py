"""The upload of a version: its registration, then the bytes of its artifact."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from understudy.artifact.digests import digest_and_size
from understudy.control.wire import file_to_wire, view_to_wire
from understudy.domain.errors import InvalidInputError
from understudy.domain.features import FeatureView
from understudy.domain.versions import ArtifactFile, ScoreOutput
from understudy.registry.v1 import registry_pb2 as pb

_CHUNK_BYTES = 1 << 20

PartT = TypeVar("PartT", pb.CheckVersionRequest, pb.RegisterVersionRequest)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """The content of a registration."""

    model: str
    artifact_dir: Path  # model.onnx, golden.npz, external data
    provenance_json: str
    views: tuple[FeatureView, ...]
    score_output: ScoreOutput
    reason: str
    origin_json: str | None = None  # signed statement of the registry that had it first


def artifact_paths(directory: Path) -> list[Path]:
    """Return every file below `directory`, in a fixed order.

    Raises:
        InvalidInputError: there is no file.
    """
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    if not paths:
        raise InvalidInputError.of(
            "artifact", read=str(directory), accepted="a directory with model.onnx and golden.npz"
        )
    return paths


def upload_parts(version: NewVersion, part: type[PartT]) -> Iterator[PartT]:
    """Yield the messages of an upload: the registration, then the bytes.

    Raises:
        InvalidInputError: the artifact's directory contains no file.
    """
    paths = artifact_paths(version.artifact_dir)
    registration = pb.Registration(
        model=version.model,
        files=[file_to_wire(_fact(version.artifact_dir, path)) for path in paths],
        provenance_json=version.provenance_json,
        feature_views=[view_to_wire(view) for view in version.views],
        score_output=pb.ScoreOutput(
            output=version.score_output.output,
            column=version.score_output.column if version.score_output.names_column else None,
        ),
        reason=version.reason,
        origin_json=version.origin_json,
    )
    yield part(registration=registration)
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                yield part(chunk=piece)


def _fact(root: Path, path: Path) -> ArtifactFile:
    digest, size_bytes = digest_and_size(path)
    return ArtifactFile(path.relative_to(root).as_posix(), digest, size_bytes)
