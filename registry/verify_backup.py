"""Verification of a backup, without any registry: every byte, every row, and the chain of its log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from registry.backup_archive import MANIFEST, TABLES, ArchiveReader
from registry.decisions.backup_manifest import BackupManifest
from registry.export import lines_of, tables_from_lines
from registry.store import schema
from registry.verify_registry import VerifiedTables, first_faults, verify_tables
from understudy.domain.errors import CorruptedError, InvalidInputError, RefusedError


@dataclass(frozen=True, slots=True)
class VerifiedBackup:
    """A backup whose tables are sound, and are those that the manifest states."""

    manifest: BackupManifest
    rows: Mapping[str, list[dict[str, Any]]]  # by table
    versions: int
    revisions: int


def verify_backup(file: BinaryIO) -> VerifiedBackup:
    """Read a whole backup, from its beginning.

    Raises:
        InvalidInputError, CorruptedError, RefusedError: see `ArchiveReader` and `verified_tables`.
    """
    reader = ArchiveReader(file)
    found = verified_tables(reader)
    for content in reader.manifest.artifacts:
        reader.copy_artifact(content, len)
    reader.expect_end()
    return found


def verified_tables(reader: ArchiveReader) -> VerifiedBackup:
    """Read the tables of a backup after its manifest, and judge them.

    Raises:
        RefusedError: the backup has another schema.
        CorruptedError: the tables were cut or changed, or were not sound when the backup was made.
    """
    manifest = reader.manifest
    if manifest.schema != schema.SCHEMA_VERSION:
        then = ", then upgrade its database" if manifest.schema < schema.SCHEMA_VERSION else ""
        raise RefusedError(
            f"the backup has schema {manifest.schema}; this registry reads schema "
            f"{schema.SCHEMA_VERSION}: restore it with the release that made it{then}"
        )
    text = bytearray()
    reader.copy_tables(text.extend)
    try:
        rows = tables_from_lines(lines_of(text.decode()))
    except (UnicodeDecodeError, InvalidInputError) as error:
        raise CorruptedError(f"{TABLES} of the backup: {error}") from error
    found = verify_tables(lambda table: rows[table])
    if found.faults:
        raise CorruptedError(f"{TABLES} of the backup: {first_faults(found.faults)}")
    _check_manifest(manifest, rows, found)
    return VerifiedBackup(manifest, rows, len(found.versions), found.revisions)


def _check_manifest(
    manifest: BackupManifest, rows: Mapping[str, list[dict[str, Any]]], found: VerifiedTables
) -> None:
    """Compare the manifest with sound tables.

    Raises:
        CorruptedError: they differ.
    """
    last = found.recorded[-1] if found.recorded else None
    files = {
        file.sha256
        for version in found.versions
        if version.spec.ref not in found.collected
        for file in version.spec.files
    }
    stated = {
        "sequence": (manifest.sequence, last.row.sequence if last else 0),
        "lineage": (manifest.lineage, rows["lineage"][-1]["id"]),
        "head": (manifest.head, last.digest if last else manifest.head),
        "artifacts": ({each.sha256 for each in manifest.artifacts}, files),
    }
    for name, (read, expected) in stated.items():
        if read != expected:
            raise CorruptedError(f"{MANIFEST} of the backup: {name} differs from that of {TABLES}")
