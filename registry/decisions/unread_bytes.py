"""Bytes of answers that callers have not read: a sum in all, and a share of it for each peer.

An answer is in memory until its caller reads it, and gRPC cannot end a call before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from registry.decisions.seats import Full, ShareLimits


@dataclass(frozen=True, slots=True)
class UnreadBytes:
    """The bytes of unread answers; only peers with some are listed."""

    limits: ShareLimits  # in bytes
    unread: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.unread.values())

    def with_answer_to(self, peer: str, size_bytes: int) -> "UnreadBytes | Full":
        """Return the bytes with an answer to `peer`, or the limit that it would exceed.

        An answer above a limit has room while there is no other one.
        """
        held = self.unread.get(peer, 0)
        if held and held + size_bytes > self.limits.per_peer:
            return Full.OF_PEER
        total = self.total
        if total and total + size_bytes > self.limits.total:
            return Full.ALL
        return self.with_made_answer_to(peer, size_bytes)

    def with_made_answer_to(self, peer: str, size_bytes: int) -> "UnreadBytes":
        """Return the bytes with an answer to work that is done, for which it is too late to refuse."""
        return replace(self, unread={**self.unread, peer: self.unread.get(peer, 0) + size_bytes})

    def without_answer_to(self, peer: str, size_bytes: int) -> "UnreadBytes":
        """Return the bytes after `peer` has read an answer of this size, or has gone."""
        unread = dict(self.unread)
        left = unread.pop(peer) - size_bytes
        return replace(self, unread={**unread, peer: left} if left else unread)
