"""The archive of a backup: a tar file whose every byte follows from its manifest and its contents.

manifest.json        see `BackupManifest`
tables.jsonl         all rows that the audit log covers, as `registry audit export` writes them
artifacts/SHA256     the files of registered versions, each content once

The reader compares headers, padding and end with those that the writer would write, so no byte can be
changed, added or cut off without notice.
"""

import tarfile
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from typing import BinaryIO

from registry.decisions.backup_manifest import BackupManifest, Content, manifest_from_document
from understudy.domain.errors import CorruptedError, InvalidInputError

MANIFEST, TABLES = "manifest.json", "tables.jsonl"
_PIECE_BYTES = 1 << 20
_LARGEST_MANIFEST_BYTES = 256 << 20  # of a million files, about half
_END = bytes(2 * tarfile.BLOCKSIZE)

Write = Callable[[bytes], object]


def artifact_member(content: Content) -> str:
    """Return the name of the member with an artifact's file."""
    return f"artifacts/{content.sha256}"


def archive_pieces(
    manifest: BackupManifest, tables: BinaryIO, read: Callable[[str], Iterator[bytes]]
) -> Generator[bytes, None, None]:
    """Yield the bytes of an archive.

    Args:
        manifest: with the true contents of all members.
        tables: the rows, from its beginning.
        read: returns the bytes of an artifact's file, by its sha256.
    """
    document = manifest.document.encode()
    yield from _member(MANIFEST, len(document), iter([document]))
    rows = iter(lambda: tables.read(_PIECE_BYTES), b"")
    yield from _member(TABLES, manifest.tables.size_bytes, rows)
    for content in manifest.artifacts:
        yield from _member(artifact_member(content), content.size_bytes, read(content.sha256))
    yield _END


class ArchiveReader:
    """Reads the members of an archive in their order; each is verified to its last byte."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the manifest.

        Raises:
            InvalidInputError: the file is not a backup.
            CorruptedError: its manifest was cut or changed.
        """
        self._file = file
        self.manifest = self._read_manifest()

    def copy_tables(self, write: Write) -> None:
        """Hand the bytes of the tables to `write`; the next member after the manifest.

        Raises:
            CorruptedError: the member is missing, or was cut or changed; it is named.
        """
        self._copy(TABLES, self.manifest.tables, write)

    def copy_artifact(self, content: Content, write: Write) -> None:
        """Hand the bytes of a file to `write`; files are read in the manifest's order.

        Raises:
            CorruptedError: see `copy_tables`.
        """
        self._copy(artifact_member(content), content, write)

    def expect_end(self) -> None:
        """Read the end of the archive.

        Raises:
            CorruptedError: it is missing, or more follows.
        """
        if self._file.read(len(_END) + 1) != _END:
            raise CorruptedError("the end of the backup was cut off or changed, or more follows it")

    def _read_manifest(self) -> BackupManifest:
        block = self._file.read(tarfile.BLOCKSIZE)
        try:
            size_bytes = tarfile.TarInfo.frombuf(block, "utf-8", "strict").size
        except (tarfile.HeaderError, UnicodeDecodeError):
            size_bytes = -1
        if size_bytes < 0 or block != _header(MANIFEST, size_bytes):
            accepted = f"a backup of a registry, whose first member is {MANIFEST}"
            raise InvalidInputError.of("FILE", read="another content", accepted=accepted)
        if size_bytes > _LARGEST_MANIFEST_BYTES:
            accepted = f"at most {_LARGEST_MANIFEST_BYTES}"
            raise InvalidInputError.of(MANIFEST, read=f"{size_bytes} bytes", accepted=accepted)
        text = self._file.read(size_bytes)
        if len(text) < size_bytes:
            raise _cut(MANIFEST)
        try:
            manifest = manifest_from_document(text.decode())
        except (UnicodeDecodeError, InvalidInputError) as error:
            raise _changed(MANIFEST) from error
        self._expect_padding(MANIFEST, size_bytes)
        return manifest

    def _copy(self, name: str, content: Content, write: Write) -> None:
        header = _header(name, content.size_bytes)
        found = self._file.read(len(header))
        if len(found) < len(header):
            raise _cut(name)
        if found != header:
            raise _changed(name)
        running, missing_bytes = sha256(), content.size_bytes
        while missing_bytes:
            piece = self._file.read(min(missing_bytes, _PIECE_BYTES))
            if not piece:
                raise _cut(name)
            running.update(piece)
            missing_bytes -= len(piece)
            write(piece)
        if running.hexdigest() != content.sha256:
            raise _changed(name)
        self._expect_padding(name, content.size_bytes)

    def _expect_padding(self, name: str, size_bytes: int) -> None:
        padding = _padding(size_bytes)
        if self._file.read(len(padding)) != padding:
            raise _changed(name)


def _member(name: str, size_bytes: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield _header(name, size_bytes)
    yield from pieces
    if padding := _padding(size_bytes):
        yield padding


def _header(name: str, size_bytes: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size_bytes, 0o600
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size_bytes: int) -> bytes:
    return bytes(-size_bytes % tarfile.BLOCKSIZE)


def _cut(name: str) -> CorruptedError:
    return CorruptedError(f"{name} of the backup is missing, or was cut off")


def _changed(name: str) -> CorruptedError:
    return CorruptedError(f"{name} of the backup was changed: it does not match the manifest")
