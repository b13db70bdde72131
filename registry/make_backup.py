"""The making of a backup while the registry serves: its tables in one state, and the files they name."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO

from sqlalchemy import Connection, Engine

from registry.backup_archive import archive_pieces
from registry.decisions.backup_manifest import BackupManifest, Content
from registry.decisions.recorded_objects import Kind
from registry.export import exported_bytes
from registry.store import audit_log, lineage, marks, schema, versions
from registry.store.artifacts import ArtifactStore
from registry.store.database import reading
from registry.verify_registry import UNREADABLE
from understudy.domain.errors import ConflictError, CorruptedError, NotFoundError
from understudy.domain.instants import unix_ns
from understudy.domain.versions import ArtifactFile, VersionRef


@dataclass(frozen=True, slots=True)
class BackupMaker:
    """Makes backups in worker threads: everything here may block.

    Files are added before rows name them, and only a collection removes any: so all files of a state
    of the tables are there, unless a collection runs meanwhile.
    """

    engine: Engine
    artifacts: ArtifactStore
    now: Callable[[], datetime]  # UTC

    def prepare(self, tables: BinaryIO) -> BackupManifest:
        """Write the tables to an empty file, and return the manifest of their state.

        The caller may read slowly: no transaction stays open after this.

        Raises:
            CorruptedError: a row cannot be read, or has text that is not Unicode.
            UnavailableError: the database cannot be read.
        """
        running, size_bytes = sha256(), 0
        with reading(self.engine) as connection:
            for line in exported_bytes(connection):
                running.update(line)
                size_bytes += tables.write(line)
            copied = Content(running.hexdigest(), size_bytes)
            try:
                manifest = self._manifest(connection, copied)
            except UNREADABLE as error:
                why = "a row of the registry cannot be read; `registry audit verify` names it"
                raise CorruptedError(why) from error
        tables.seek(0)
        return manifest

    def pieces(self, manifest: BackupManifest, tables: BinaryIO) -> Generator[bytes, None, None]:
        """Yield the bytes of the archive, in pieces of at most 1 MiB.

        Raises:
            CorruptedError: a file is missing, or its bytes have changed.
            ConflictError: it was collected meanwhile.
            UnavailableError: the files cannot be read.
        """
        return archive_pieces(manifest, tables, self._read)

    def _manifest(self, connection: Connection, tables: Content) -> BackupManifest:
        sequence, head = audit_log.last(connection)
        files = {file.sha256: file.size_bytes for _, file in _needed(connection)}
        return BackupManifest(
            schema=schema.SCHEMA_VERSION,
            lineage=lineage.latest(connection).id,
            sequence=sequence,
            head=head,
            made_ns=unix_ns(self.now()),
            tables=tables,
            artifacts=tuple(Content(digest, files[digest]) for digest in sorted(files)),
        )

    def _read(self, digest: str) -> Iterator[bytes]:
        try:
            yield from self.artifacts.read(digest)
        except NotFoundError as error:
            with reading(self.engine) as connection:
                still = [f"{ref}: {f.path}" for ref, f in _needed(connection) if f.sha256 == digest]
            if not still:
                raise ConflictError(
                    f"artifact file {digest} was collected meanwhile; make the backup again"
                ) from error
            raise CorruptedError(
                f"{still[0]} is missing from the artifact store (sha256 {digest})"
            ) from error


def _needed(connection: Connection) -> Iterator[tuple[VersionRef, ArtifactFile]]:
    """Yield the files of all versions whose artifacts were not collected."""
    marked = marks.all_of(connection, None)
    for ref, _, files in versions.files_of_all(connection):
        if Kind.COLLECTION not in marked.get(ref, {}):
            yield from ((ref, file) for file in files)
