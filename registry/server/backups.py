"""Backups of a registry that serves, streamed to a limited number of callers at a time."""

from collections.abc import AsyncGenerator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from registry.decisions.actors import Actor
from registry.make_backup import BackupMaker
from registry.server.callers import log_facts
from registry.server.live_state import LiveState
from registry.server.seating import Seating

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Backups:
    """Sends archives. Each one in progress has a copy of the tables on disk, and a file open."""

    live: LiveState
    maker: BackupMaker
    seating: Seating
    directory: Path  # for the copy of the tables

    async def pieces(self, actor: Actor) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a backup of now.

        Raises:
            OverloadedError: too many backups are in progress, in all or from the actor's address.
            CorruptedError, ConflictError, UnavailableError: see `BackupMaker`.
        """
        with self.seating.seat(actor.peer), TemporaryFile(dir=self.directory) as tables:
            manifest = await self.live.run(lambda: self.maker.prepare(tables))
            size_bytes = 0
            with closing(self.maker.pieces(manifest, tables)) as pieces:
                while piece := await self.live.run(lambda: next(pieces, b"")):
                    yield piece
                    size_bytes += len(piece)
        _log.info(
            "backup_sent",
            **log_facts(actor),
            sequence=manifest.sequence,
            files=len(manifest.artifacts),
            size_bytes=size_bytes,
        )
