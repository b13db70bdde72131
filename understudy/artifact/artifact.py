"""An artifact on disk: its required files, their digests, and its confinement to one folder."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from understudy.artifact.digests import digest_and_size
from understudy.artifact.onnx_wire import external_locations
from understudy.artifact.paths import is_confined
from understudy.domain.errors import CorruptedError, Fault, InvalidInputError, NotFoundError
from understudy.domain.versions import MODEL_FILE, ArtifactFile, artifact_digest


def locate_artifact(source: Path) -> tuple[Path, Path]:
    """Return the folder of `source` and the model in it.

    Args:
        source: a folder that contains `model.onnx`, or one .onnx file.

    Raises:
        NotFoundError: the folder or file does not exist.
    """
    if source.is_dir():
        model = source / MODEL_FILE
        if not model.is_file():
            raise NotFoundError("file", model)
        return source, model
    if not source.is_file():
        raise NotFoundError("artifact", source)
    return source.parent, source


def describe_artifact(source: Path) -> tuple[Path, tuple[ArtifactFile, ...]]:
    """Return the folder of `source` and its files with digests.

    Args:
        source: a folder that contains `model.onnx`, or one .onnx file, which is then the whole
            artifact, apart from the external data that it names.

    Raises:
        NotFoundError: the folder or file does not exist.
        InvalidInputError: the single file is not a model.
    """
    root, model = locate_artifact(source)
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.is_file())
    else:
        names = sorted({source.name, *external_locations(model.read_bytes())})
        paths = [root / name for name in names if is_confined(name) and (root / name).is_file()]
    return root, tuple(_described(root, path) for path in paths)


def check_digests(root: Path, files: tuple[ArtifactFile, ...]) -> str:
    """Compare each file with its registered digest; return the artifact's digest.

    Raises:
        CorruptedError: a file is missing, or its bytes differ from the registered ones.
    """
    for file in files:
        path = root / file.path
        if not is_confined(file.path) or not path.is_file():
            raise CorruptedError(f"artifact file {file.path!r} is missing")
        found = _described(root, path)
        if found != file:
            raise CorruptedError(
                f"artifact file {file.path!r}: sha256 {found.sha256} ({found.size_bytes} bytes), "
                f"registered {file.sha256} ({file.size_bytes} bytes)"
            )
    return artifact_digest(files)


def check_external_data(model: Path, files: tuple[ArtifactFile, ...]) -> None:
    """Refuse external data that is outside the artifact, or was not registered with it.

    Raises:
        InvalidInputError: naming each such location, and each symbolic link.
    """
    registered = {file.path for file in files if is_confined(file.path)}
    faults = [
        Fault(f"{model.name} external_data.location", repr(name), "a file of the artifact")
        for name in external_locations(model.read_bytes())
        if str(PurePosixPath(name))
        not in registered  # './weights.bin' also names a file of the artifact
    ]
    # A symbolic link can lead outside too.
    faults += [
        Fault(file.path, "a symbolic link", "a regular file")
        for file in files
        if any(path.is_symlink() for path in _steps(model.parent, file.path))
    ]
    if faults:
        raise InvalidInputError(faults)


def _steps(root: Path, name: str) -> Iterator[Path]:
    path = root
    for part in PurePosixPath(name).parts:
        path /= part
        yield path


def _described(root: Path, path: Path) -> ArtifactFile:
    return ArtifactFile(path.relative_to(root).as_posix(), *digest_and_size(path))
