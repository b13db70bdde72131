"""The restore of a backup into an empty place: verified, then written at once, under a new lineage."""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from registry.backup_archive import ArchiveReader
from registry.decisions.actors import Actor
from registry.decisions.backup_manifest import BackupManifest
from registry.decisions.succession import RestoreRequest, Watched
from registry.export import exported_bytes
from registry.restore_registry import Restore, Restored, succeed
from registry.store.artifacts import ArtifactStore, Staging
from registry.store.database import fill_database, require_empty
from registry.store.postgresql import PostgresqlPlace
from registry.store.schema import metadata
from registry.verify_backup import VerifiedBackup, verified_tables
from understudy.domain.errors import CorruptedError, RefusedError
from understudy.domain.instants import unix_ns
from understudy.domain.versions import ArtifactFile

_NO_REPORTS = Watched(beliefs={}, highest_revision=0)  # no router reports to a lost registry


@dataclass(frozen=True, slots=True)
class BackupRestore:
    """An operator's request."""

    request: RestoreRequest  # an empty `successor_of` is the lineage of the backup
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class RestoredBackup:
    """The content of a backup, and the act by which the new registry succeeds the lost one."""

    backup: VerifiedBackup
    restored: Restored


@dataclass(frozen=True, slots=True)
class BackupRestorer:
    """Restores into one place; everything here blocks."""

    database: Path | PostgresqlPlace
    artifacts: ArtifactStore

    def restore(self, file: BinaryIO, asked: BackupRestore, now: datetime) -> RestoredBackup:
        """Verify a backup from its beginning, write it, and name the lineage that it succeeds.

        The tables appear in one transaction after all files are in place: an end in between leaves
        an empty database, and the same restore can be repeated.

        Args:
            file: the archive.
            asked: the act, for the audit log.
            now: UTC.

        Raises:
            InvalidInputError: the file is not a backup, or a model to end has an impossible name.
            CorruptedError: a member was cut or changed, or the tables were not sound.
            RefusedError: the place is not empty, the backup has another schema, or it deploys a model
                that is to end.
            UnavailableError: the place cannot be written.
        """
        require_empty(self.database)
        reader = ArchiveReader(file)
        backup = verified_tables(reader)
        self._require_own_files(backup.manifest)
        with self.artifacts.stage() as staging:
            files = _staged(reader, staging)
            reader.expect_end()
            self.artifacts.keep(staging, files)
        act = Restore(
            replace(
                asked.request, successor_of=asked.request.successor_of or backup.manifest.lineage
            ),
            _NO_REPORTS,
            asked.actor,
            asked.reason,
            dry_run=False,
        )

        def fill(connection: Connection) -> Restored:
            _insert(connection, backup)
            return succeed(connection, act, unix_ns(now))

        return RestoredBackup(backup, fill_database(self.database, fill))

    def _require_own_files(self, manifest: BackupManifest) -> None:
        """Return if all files that are there are those of a restore of this backup that ended early.

        Raises:
            RefusedError: another registry's are there: a collection would remove them.
        """
        others = self.artifacts.stored().keys() - {each.sha256 for each in manifest.artifacts}
        if others:
            raise RefusedError(
                f"the artifact store has {len(others)} files that are not of the backup, "
                f"{min(others)} for one; accepted: an empty one"
            )


def _staged(reader: ArchiveReader, staging: Staging) -> list[ArtifactFile]:
    """Copy all files of a backup into `staging`, each verified."""
    files = []
    for content in reader.manifest.artifacts:
        file = staging.open_file(content.sha256)
        reader.copy_artifact(content, file.write)
        files.append(file.close())
    return files


def _insert(connection: Connection, backup: VerifiedBackup) -> None:
    """Write the rows of a backup into empty tables, and compare them as they are read again.

    Raises:
        CorruptedError: the database does not return the rows that it was given.
    """
    for table, rows in backup.rows.items():
        if rows:
            connection.execute(metadata.tables[table].insert(), rows)
    running = sha256()
    for line in exported_bytes(connection):
        running.update(line)
    if running.hexdigest() != backup.manifest.tables.sha256:
        raise CorruptedError("the database reads otherwise than the backup; nothing was restored")
