"""The connection of a client, opened anew when the files of its certificates were replaced.

TLS does not ask for a certificate again while a connection lives: the next call goes over a new one,
and calls that are open end over the former one, which closes after the last of them.
"""

import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, TypeVar

import grpc

from understudy.client.tls_files import FollowedTls, TlsFiles

Credentials = grpc.ChannelCredentials | TlsFiles
Followed = grpc.ChannelCredentials | FollowedTls | None
ConnectionT = TypeVar("ConnectionT")


def followed(credentials: Credentials | None) -> Followed:
    """Return the credentials, with files read.

    Raises:
        OSError, ValueError: the files cannot be used.
    """
    return FollowedTls(credentials) if isinstance(credentials, TlsFiles) else credentials


class _Uses(Generic[ConnectionT]):
    """The present connection, and how many calls use each one. Not safe for threads."""

    def __init__(
        self,
        credentials: Followed,
        opened: Callable[[grpc.ChannelCredentials | None], ConnectionT],
    ) -> None:
        self._opened = opened
        self._files = credentials if isinstance(credentials, FollowedTls) else None
        fixed = None if isinstance(credentials, FollowedTls) else credentials
        self.present = opened(fixed if self._files is None else self._files.credentials)
        self._calls: Counter[ConnectionT] = Counter()

    def renewed(self) -> ConnectionT | None:
        """Take the present files into use; return the former connection if it is to be closed."""
        if self._files is None or not self._files.is_renewed():
            return None
        former, self.present = self.present, self._opened(self._files.credentials)
        return None if self._calls[former] else former

    def enter(self) -> ConnectionT:
        self._calls[self.present] += 1
        return self.present

    def leave(self, connection: ConnectionT) -> ConnectionT | None:
        """End a use; return the connection if it is to be closed."""
        self._calls[connection] -= 1
        if self._calls[connection]:
            return None
        del self._calls[connection]
        return None if connection is self.present else connection

    @property
    def open_ones(self) -> set[ConnectionT]:
        return {self.present, *self._calls}


class ThreadedConnections(Generic[ConnectionT]):
    """The connections of a client for threads. They have a `channel` and are hashed by identity."""

    def __init__(
        self,
        credentials: Followed,
        opened: Callable[[grpc.ChannelCredentials | None], ConnectionT],
    ) -> None:
        """Open the first one, which connects when it is used."""
        self._uses = _Uses(credentials, opened)
        self._lock = threading.Lock()

    @contextmanager
    def in_use(self) -> Iterator[ConnectionT]:
        """Yield the connection for a new call, which stays open until the block ends."""
        with self._lock:
            former, connection = self._uses.renewed(), self._uses.enter()
        self._close(former)
        try:
            yield connection
        finally:
            with self._lock:
                former = self._uses.leave(connection)
            self._close(former)

    def close(self) -> None:
        """Close all connections, and end the calls over them."""
        with self._lock:
            open_ones = self._uses.open_ones
        for connection in open_ones:
            self._close(connection)

    @staticmethod
    def _close(connection: Any) -> None:
        if connection is not None:
            connection.channel.close()


class AsyncioConnections(Generic[ConnectionT]):
    """The connections of a client for one event loop, like `ThreadedConnections`."""

    def __init__(
        self,
        credentials: Followed,
        opened: Callable[[grpc.ChannelCredentials | None], ConnectionT],
    ) -> None:
        self._uses = _Uses(credentials, opened)

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[ConnectionT]:
        former, connection = self._uses.renewed(), self._uses.enter()
        try:
            await self._close(former)
            yield connection
        finally:
            await self._close(self._uses.leave(connection))

    async def close(self) -> None:
        for connection in self._uses.open_ones:
            await self._close(connection)

    @staticmethod
    async def _close(connection: Any) -> None:
        if connection is not None:
            await connection.channel.close()
