"""Delivery of the latest snapshot to every watcher. A slow watcher skips intermediate ones."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from understudy.domain.errors import OverloadedError
from understudy.domain.snapshots import Snapshot

_RETRY_AFTER_MS = 1_000


class Watchers:
    """One slot per watcher, which holds at most "there is a newer snapshot". For one event loop."""

    def __init__(self, first: Snapshot, *, limit: int, limit_per_peer: int) -> None:
        self._latest = first
        self._limit = limit
        self._limit_per_peer = limit_per_peer
        self._seats: Counter[str] = Counter()  # by peer
        self._bells: set[asyncio.Event] = set()
        self._closed = False

    @property
    def latest(self) -> Snapshot:
        return self._latest

    @property
    def count(self) -> int:
        return len(self._bells)

    def publish(self, snapshot: Snapshot) -> None:
        self._latest = snapshot
        for bell in self._bells:
            bell.set()

    def close(self) -> None:
        """End every watch, so that no open stream delays a drain."""
        self._closed = True
        for bell in self._bells:
            bell.set()

    async def watch(self, peer: str) -> AsyncGenerator[Snapshot, None]:
        """Yield the latest snapshot now, then again whenever there is a newer one, until closed.

        Raises:
            OverloadedError: there are too many watchers, or too many from `peer`.
        """
        with self._seat(peer) as bell:
            while not self._closed:
                bell.clear()
                yield self._latest
                await bell.wait()

    @contextmanager
    def _seat(self, peer: str) -> Iterator[asyncio.Event]:
        if len(self._bells) >= self._limit:
            raise OverloadedError("the list of watchers", retry_after_ms=_RETRY_AFTER_MS)
        if self._seats[peer] >= self._limit_per_peer:
            raise OverloadedError("this peer's list of watchers", retry_after_ms=_RETRY_AFTER_MS)
        bell = asyncio.Event()
        self._bells.add(bell)
        self._seats[peer] += 1
        try:
            yield bell
        finally:
            self._bells.discard(bell)
            self._seats[peer] -= 1
            if not self._seats[peer]:
                del self._seats[peer]
