"""Fetches of artifact files: a limited number at a time."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from registry.server.live_state import LiveState
from registry.server.seating import Seating
from registry.store.artifacts import ArtifactStore


@dataclass(slots=True, eq=False)
class Fetches:
    """Reads stored files. Each fetch in progress holds a file open, and two pieces in memory.

    A caller that does not read keeps its seat, as a watcher does: the share of its address leaves
    the other seats to others. Its call cannot be ended by us, since gRPC sends no status before
    the pieces that it was given. The bytes are bounded in `registry.server.unread`.
    """

    live: LiveState
    artifacts: ArtifactStore
    seating: Seating

    async def pieces_of(self, digest: str, peer: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the file with this sha256.

        Raises:
            OverloadedError: too many fetches are in progress, in all or from `peer`.
            InvalidInputError: `digest` is not a sha256.
            NotFoundError: no such file is stored.
            CorruptedError: its bytes have changed.
        """
        with self.seating.seat(peer):
            pieces = self.artifacts.read(digest)
            while piece := await self.live.run(lambda: next(pieces, b"")):
                yield piece
