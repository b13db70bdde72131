"""Artifacts by content: a file is stored under its sha256, once, and every byte is verified on its way out."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from threading import Lock
from types import TracebackType
from typing import BinaryIO, Self

from registry.store.artifact_objects import (
    STORE,
    FolderObjects,
    Objects,
    is_object_name,
    translated,
)
from registry.store.staging_area import StagingArea
from understudy.domain.errors import (
    CorruptedError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from understudy.domain.versions import ArtifactFile


class ArtifactStore:
    """Files by sha256. Safe for several threads, and for several processes."""

    def __init__(self, root: Path, objects: Objects | None = None) -> None:
        """Make the folders.

        Args:
            root: folder for uploads in progress.
            objects: place of the files; None: a folder below `root`.

        Raises:
            UnavailableError: they cannot be made.
        """
        self._objects = FolderObjects(root / "sha256") if objects is None else objects
        with _all_translated():
            self._staging = StagingArea(root / "staging")

    def close(self) -> None:
        """Abandon unfinished uploads."""
        self._staging.close()

    def has(self, digest: str) -> bool:
        """Return whether a file is stored under that sha256.

        Raises:
            UnavailableError: the place does not answer.
        """
        return self._objects.has(digest)

    def stored(self) -> dict[str, int]:
        """Return the size in bytes of every stored file, by sha256.

        Raises:
            UnavailableError: the files cannot be listed.
        """
        with _all_translated():
            return self._objects.stored()

    def remove(self, digests: Iterable[str]) -> None:
        """Remove files; those that are gone already are left out.

        Raises:
            UnavailableError: one of them cannot be removed.
        """
        for digest in digests:
            self._objects.remove(digest)

    def read(self, digest: str) -> Iterator[bytes]:
        """Yield the file's bytes; the last piece only if all of them match `digest`.

        Raises:
            InvalidInputError: `digest` is not a sha256.
            NotFoundError: no such file is stored.
            CorruptedError: the bytes have changed.
            UnavailableError: they cannot be read.
        """
        if not is_object_name(digest):
            raise InvalidInputError.of("sha256", read=digest, accepted="64 lower-case hex digits")
        running = sha256()
        held = b""
        try:
            for piece in self._objects.pieces(digest):
                if held:
                    yield held
                running.update(piece)
                held = piece
        except FileNotFoundError as error:
            raise NotFoundError("artifact file", digest) from error
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
            try:
                digest, size_bytes = self._digest_and_size(file.sha256)
            except FileNotFoundError:
                yield f"{file.path} is missing from the artifact store (sha256 {file.sha256})"
                continue
            if size_bytes != file.size_bytes:
                yield f"{file.path} has {size_bytes} bytes, registered were {file.size_bytes}"
            elif digest != file.sha256:
                yield f"{file.path} reads as sha256 {digest}, registered was {file.sha256}"

    def link_into(self, staging: "Staging", files: Iterable[ArtifactFile]) -> None:
        """Let `staging` have the stored files under their paths, from a folder without copies of their bytes.

        Raises:
            UnavailableError: one of them cannot be read.
        """
        for file in files:
            path = staging.directory / file.path
            with _all_translated():
                path.parent.mkdir(parents=True, exist_ok=True)
                self._objects.lend(file.sha256, path)

    def stage(self) -> "Staging":
        """Return a directory for one upload, which is removed after the `with` block."""
        with _all_translated():
            return Staging(Path(mkdtemp(dir=self._staging.directory)))

    def keep(self, staging: "Staging", files: Iterable[ArtifactFile]) -> None:
        """Move staged files to their final places, except those already there."""
        for file in files:
            with _all_translated():
                if self._holds(file):
                    self._objects.settle(file.sha256)
                else:
                    self._objects.add(file.sha256, staging.directory / file.path)

    def _holds(self, file: ArtifactFile) -> bool:
        # A damaged copy is replaced by the intact one that has just arrived.
        try:
            return self._digest_and_size(file.sha256) == (file.sha256, file.size_bytes)
        except FileNotFoundError:
            return False

    def _digest_and_size(self, digest: str) -> tuple[str, int]:
        running, size_bytes = sha256(), 0
        for piece in self._objects.pieces(digest):
            running.update(piece)
            size_bytes += len(piece)
        return running.hexdigest(), size_bytes


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
        with self._lock, _all_translated():
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
        with _all_translated():
            self._file.write(piece)
        self._hash.update(piece)
        self.size_bytes += len(piece)

    def close(self) -> ArtifactFile:
        """Write the bytes to disk and return their digest and size."""
        with _all_translated():
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


@contextmanager
def _all_translated() -> Iterator[None]:
    """Raise all errors of the file system as ours, also that of an absent file.

    Raises:
        UnavailableError: the file system refused something.
    """
    try:
        with translated():
            yield
    except FileNotFoundError as error:
        raise UnavailableError(STORE, str(error.strerror)) from error
