"""Proofs for auditors: a verification, an export, and the signed head of the log."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import structlog
from sqlalchemy import Engine

from registry.decisions.audit_head import AuditHead
from registry.decisions.version_statement import VersionStatement
from registry.export import exported_bytes
from registry.server.live_state import LiveState
from registry.server.seating import Seating
from registry.store import audit_log, lineage, refusals, versions
from registry.store.artifacts import ArtifactStore
from registry.store.database import reading
from registry.verify_registry import (
    VerifiedFiles,
    VerifiedTables,
    verify_artifacts,
    verify_database,
)
from registry.version_past import origin_of
from understudy.control.wire_values import ref_to_wire
from understudy.domain.errors import NotFoundError, RefusedError
from understudy.domain.instants import unix_ns
from understudy.domain.version_content import content_digest_of
from understudy.domain.versions import VersionRef
from understudy.provenance.dsse import AUDIT_HEAD_TYPE, VERSION_TYPE
from understudy.provenance.signing_keys import SigningKeys
from understudy.registry.v1 import registry_pb2 as pb

_PIECE_BYTES = 1 << 20
_MOST_NAMED = 100  # collected versions

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Proofs:
    """Reads everything anew, for a limited number of callers at a time."""

    live: LiveState
    engine: Engine
    artifacts: ArtifactStore
    seating: Seating
    keys: SigningKeys | None  # None: heads are not signed
    directory: Path  # for the file of an export in progress
    now: Callable[[], datetime]  # UTC

    async def verify(self, ref: VersionRef | None, peer: str) -> pb.VerifyRegistryResponse:
        """Verify all tables, and the artifact of one version, or of all.

        Raises:
            OverloadedError: too many verifications and exports are in progress.
            NotFoundError: no such version can be read.
            UnavailableError: database or artifacts cannot be read.
        """
        with self.seating.seat(peer):
            tables, files = await self.live.run(lambda: self._verified(ref))
        if faults := (*tables.faults, *files.faults):
            _log.error("registry_not_intact", faults=faults)
        return pb.VerifyRegistryResponse(
            faults=faults,
            audit_rows=len(tables.recorded),
            versions=len(tables.versions),
            revisions=tables.revisions,
            files=files.files,
            size_bytes=files.size_bytes,
            collected=map(ref_to_wire, files.collected[:_MOST_NAMED]),
            collected_count=len(files.collected),
        )

    async def export(self, peer: str) -> AsyncGenerator[bytes, None]:
        """Yield the export in pieces.

        The caller may read slowly: rows are copied to a file first, so that no transaction stays open.

        Raises:
            OverloadedError: too many verifications and exports are in progress.
            UnavailableError: the database cannot be read.
        """
        with self.seating.seat(peer), self._file() as file:
            await self.live.run(lambda: self._write(file))
            while piece := await self.live.run(lambda: file.read(_PIECE_BYTES)):
                yield piece

    async def head(self) -> pb.GetAuditHeadResponse:
        """Return the head, signed if there is a key."""
        head = await self.live.run(self.read_head)
        return pb.GetAuditHeadResponse(document=head.document, envelope_json=self.signed(head))

    async def sign_version(self, ref: VersionRef) -> pb.SignVersionResponse:
        """Return a signed statement about a version.

        Raises:
            NotFoundError: there is no such version.
            RefusedError: there is no key.
        """
        if self.keys is None:
            raise RefusedError("this registry signs nothing: it has no REGISTRY_SIGNING_KEY")
        statement = await self.live.run(lambda: self._statement(ref))
        envelope = self.keys.signed(VERSION_TYPE, statement.document.encode())
        return pb.SignVersionResponse(envelope_json=envelope.json_line)

    def _statement(self, ref: VersionRef) -> VersionStatement:
        with reading(self.engine) as connection:
            stored = versions.get_version(connection, ref)
            # The author of an imported version is known by the registry that had it first.
            first = origin_of(connection, stored)
            return VersionStatement(
                lineage.latest(connection).id,
                ref,
                content_digest_of(stored.spec),
                stored.registered_by if first is None else first.actor,
                stored.registered_at_ns if first is None else first.at_ns,
            )

    def read_head(self) -> AuditHead:
        """Return the head of now; blocks."""
        with reading(self.engine) as connection:
            log, refused = audit_log.last(connection), refusals.last(connection)
            identity = lineage.latest(connection).id
        return AuditHead(identity, *log, *refused, unix_ns(self.now()))

    def signed(self, head: AuditHead) -> str | None:
        """Return the head in an envelope, as one line; None without a key."""
        if self.keys is None:
            return None
        return self.keys.signed(AUDIT_HEAD_TYPE, head.document.encode()).json_line

    def _verified(self, ref: VersionRef | None) -> tuple[VerifiedTables, VerifiedFiles]:
        with reading(self.engine) as connection:
            tables = verify_database(connection)
        chosen = [each for each in tables.versions if ref in {None, each.spec.ref}]
        if ref is not None and not chosen:
            raise NotFoundError("version", ref)
        return tables, verify_artifacts(self.artifacts, chosen, tables.collected)

    def _write(self, file: BinaryIO) -> None:
        with reading(self.engine) as connection:
            file.writelines(exported_bytes(connection))
        file.seek(0)

    @contextmanager
    def _file(self) -> Iterator[BinaryIO]:
        with TemporaryFile(dir=self.directory) as file:
            yield file
