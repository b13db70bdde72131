"""Delivery of the latest snapshot to every watcher. A slow watcher skips intermediate ones."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from registry.decisions.seats import ShareLimits
from registry.server.seating import Seating
from understudy.domain.snapshots import Snapshot


class Watchers:
    """One slot per watcher, which holds at most "there is a newer snapshot". For one event loop."""

    def __init__(self, first: Snapshot, limits: ShareLimits) -> None:
        self._latest = first
        self._seating = Seating("watchers", limits)
        self._bells: set[asyncio.Event] = set()
        self._closed = False

    @property
    def latest(self) -> Snapshot:
        return self._latest

    @property
    def count(self) -> int:
        return self._seating.count

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
        with self._bell(peer) as bell:
            while not self._closed:
                bell.clear()
                yield self._latest
                await bell.wait()

    @contextmanager
    def _bell(self, peer: str) -> Iterator[asyncio.Event]:
        with self._seating.seat(peer):
            bell = asyncio.Event()
            self._bells.add(bell)
            try:
                yield bell
            finally:
                self._bells.discard(bell)
