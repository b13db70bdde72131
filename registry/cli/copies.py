"""Copies of a version on the operator's machine: whole and checked, or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from understudy.artifact.paths import checked_path
from understudy.control.client import RegistryClient
from understudy.domain.errors import CheckFailedError, Fault, InvalidInputError, RefusedError
from understudy.registry.v1 import registry_pb2 as pb


@contextmanager
def new_directory(to: Path) -> Iterator[Path]:
    """Yield a directory that gets the name `to` when the block ends well: a part never has it.

    Raises:
        InvalidInputError: `to` exists, or cannot be made.
    """
    if to.exists():
        raise InvalidInputError.of("--to", read=f"{to}, which exists", accepted="a new directory")
    try:
        part = Path(mkdtemp(prefix=f".{to.name}-", dir=to.parent))
    except OSError as error:
        fault = Fault("--to", f"{to}: {error.strerror}", "a new directory in one that exists")
        raise InvalidInputError([fault]) from error
    try:
        yield part
        part.rename(to)
    finally:
        rmtree(part, ignore_errors=True)


def write_artifact(client: RegistryClient, version: pb.Version, directory: Path) -> int:
    """Fetch the files of a version and check its record; return their size in bytes.

    Raises:
        RefusedError: the artifact was collected.
        CheckFailedError: the registry sent other bytes than it registered.
    """
    if version.HasField("collected"):
        mark, ref = version.collected, f"{version.ref.model}@{version.ref.number}"
        raise RefusedError(
            f"the artifact of {ref} was collected by {mark.actor}: {mark.reason}; a copy of the same "
            "content can be registered again"
        )
    record = sha256(version.provenance_json.encode()).hexdigest()
    if record != version.provenance_digest:
        registered = version.provenance_digest
        raise CheckFailedError(f"the record arrived with sha256 {record}, not {registered}")
    return sum(_fetch(client, file, directory) for file in version.files)


def _fetch(client: RegistryClient, file: pb.ArtifactFile, directory: Path) -> int:
    path = directory / checked_path(file.path, "path")
    path.parent.mkdir(parents=True, exist_ok=True)
    running, size_bytes = sha256(), 0
    with path.open("xb") as new:
        for piece in client.fetch_file(file.sha256):
            running.update(piece)
            size_bytes += new.write(piece)
            if size_bytes > file.size_bytes:
                raise CheckFailedError(f"{file.path} has more than its {file.size_bytes} bytes")
    if running.hexdigest() != file.sha256:
        raise CheckFailedError(f"{file.path} arrived with sha256 {running.hexdigest()}")
    return size_bytes
