"""Artifacts by content: a file is stored under its sha256, once, and moved into place atomically."""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from threading import Lock
from types import TracebackType
from typing import BinaryIO, Self

from registry.store.staging_area import StagingArea
from understudy.artifact.digests import digest_and_size
from understudy.domain.errors import (
    CorruptedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from understudy.domain.versions import ArtifactFile

_DIGEST = re.compile(r"[0-9a-f]{64}")
_READ_BYTES = 1 << 20
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ArtifactStore:
    """Files by sha256 below `root`. Safe for several threads, and for several processes."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "sha256"
        with _translated():
            self._objects.mkdir(parents=True, exist_ok=True)
            self._staging = StagingArea(root / "staging")

    def close(self) -> None:
        """Abandon unfinished uploads."""
        self._staging.close()

    def path_of(self, digest: str) -> Path:
        """Return the path of the file with that sha256.

        Raises:
            InvalidInputError: `digest` is not a sha256.
            NotFoundError: no such file is stored.
        """
        if not _DIGEST.fullmatch(digest):
            raise InvalidInputError.of("sha256", read=digest, accepted="64 lower-case hex digits")
        path = self._place_of(digest)
        if not path.is_file():
            raise NotFoundError("artifact file", digest)
        return path

    def has(self, digest: str) -> bool:
        """Return whether a file is stored under that sha256."""
        return self._place_of(digest).is_file()

    def stored(self) -> dict[str, int]:
        """Return the size in bytes of every stored file, by sha256.

        Raises:
            UnavailableError: the files cannot be listed.
        """
        with _translated():
            return {
                path.name: path.stat().st_size
                for path in self._objects.glob("??/*")
                if _DIGEST.fullmatch(path.name)
            }

    def remove(self, digests: Iterable[str]) -> None:
        """Remove files; those that are gone already are left out.

        Raises:
            UnavailableError: one of them cannot be removed.
        """
        with _translated():
            for digest in digests:
                self._place_of(digest).unlink(missing_ok=True)

    def read(self, digest: str) -> Iterator[bytes]:
        """Yield the file's bytes; the last piece only if all of them match `digest`.

        Raises:
            NotFoundError: no such file is stored.
            CorruptedError: the bytes have changed.
        """
        running = sha256()
        held = b""
        with self.path_of(digest).open("rb") as file:
            while piece := file.read(_READ_BYTES):
                if held:
                    yield held
                running.update(piece)
                held = piece
        if running.hexdigest() != digest:
            raise CorruptedError(f"artifact file {digest} reads as {running.hexdigest()}")
        if held:
            yield held

    def faults_of(self, files: Iterable[ArtifactFile]) -> Iterator[str]:
        """Hash every byte of the files again, and yield the damaged and missing ones.

        Raises:
            UnavailableError: a file that is there cannot be read.
        """
        for file in files:
            with _translated():
                try:
                    digest, size_bytes = digest_and_size(self._place_of(file.sha256))
                except FileNotFoundError:
                    yield f"{file.path} is missing from the artifact store (sha256 {file.sha256})"
                    continue
            if size_bytes != file.size_bytes:
                yield f"{file.path} has {size_bytes} bytes, registered were {file.size_bytes}"
            elif digest != file.sha256:
                yield f"{file.path} reads as sha256 {digest}, registered was {file.sha256}"

    def link_into(self, staging: "Staging", files: Iterable[ArtifactFile]) -> None:
        """Let `staging` have the stored files under their paths, without copies of their bytes."""
        with _translated():
            for file in files:
                path = staging.directory / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(self._place_of(file.sha256))

    def stage(self) -> "Staging":
        """Return a directory for one upload, which is removed after the `with` block."""
        with _translated():
            return Staging(Path(mkdtemp(dir=self._staging.directory)))

    def keep(self, staging: "Staging", files: Iterable[ArtifactFile]) -> None:
        """Move staged files to their final places, except those already there."""
        with _translated():
            for file in files:
                final = self._place_of(file.sha256)
                final.parent.mkdir(exist_ok=True)
                if not self._holds(final, file):
                    (staging.directory / file.path).replace(final)
                    final.chmod(0o400)
                sync_directory(final.parent)

    def _place_of(self, digest: str) -> Path:
        return self._objects / digest[:2] / digest

    def _holds(self, final: Path, file: ArtifactFile) -> bool:
        # A damaged copy is replaced by the intact one that has just arrived.
        try:
            return digest_and_size(final) == (file.sha256, file.size_bytes)
        except FileNotFoundError:
            return False


class Staging:
    """A directory that receives one artifact, file by file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # A call may be cancelled while a worker thread opens a file: nothing may follow the end.
        self._lock = Lock()
        self._files: list[StagedFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def discard(self) -> None:
        with self._lock:
            for file in self._files:
                file.abandon()
            shutil.rmtree(self.directory, ignore_errors=True)

    def open_file(self, path: str) -> "StagedFile":
        with self._lock, _translated():
            for folder in reversed(PurePosixPath(path).parents):
                if folder.name:  # never the staging directory itself, which may have been removed
                    (self.directory / folder).mkdir(exist_ok=True)
            file = StagedFile(path, (self.directory / path).open("xb"))
            self._files.append(file)
            return file


class StagedFile:
    """A file being received: written, counted and hashed on arrival."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._hash = sha256()
        self.size_bytes = 0

    def write(self, piece: bytes) -> None:
        with _translated():
            self._file.write(piece)
        self._hash.update(piece)
        self.size_bytes += len(piece)

    def close(self) -> ArtifactFile:
        """Write the bytes to disk and return their digest and size."""
        with _translated():
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            finally:
                self._file.close()
        return ArtifactFile(self._path, self._hash.hexdigest(), self.size_bytes)

    def abandon(self) -> None:
        """Close without a guarantee; buffered bytes may be lost. After `close` it does nothing."""
        try:
            self._file.close()
        except OSError:
            # The file is no longer read: the staging directory is removed next.
            return


def sync_directory(directory: Path) -> None:
    """Put the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = "no space left" if error.errno in _NO_SPACE else os.strerror(error.errno or 0)
        raise UnavailableError("artifact store", why) from error
