"""Connections over sockets of the file system without gRPC: both ends belong to one user.

The mode and the owner of the file let no other user connect; the kernel's word about the process at the other
end (SO_PEERCRED) also holds if its folder or mode was changed, or its file replaced.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import TypeVar

import structlog

from understudy.domain.errors import UnavailableError
from understudy.runtime.transport.sockets import made_for_us_alone, owner_fault, require_own_socket

_CREDENTIALS = Struct("iII")  # struct ucred: pid, uid, gid
_BACKLOG = 1024
_log = structlog.get_logger()


class OwnUserProtocol(asyncio.Protocol):
    """One end of a connection, which goes no further if the other end belongs to another user."""

    transport: asyncio.Transport
    refused = ""  # the reason, once it is refused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a stream
        self.refused = owner_fault(_peer_uid(self.transport), os.geteuid()) or ""
        if self.refused:
            _log.warning("foreign_peer_refused", why=self.refused)
            self.transport.abort()
        else:
            self.connected()

    def connected(self) -> None:
        """Begin: the other end belongs to our user."""
        raise NotImplementedError


ProtocolT = TypeVar("ProtocolT", bound=OwnUserProtocol)


@asynccontextmanager
async def listening_at(path: Path, accept: Callable[[], OwnUserProtocol]) -> AsyncIterator[None]:
    """Accept connections at a socket, which only our user may reach, until the block is left.

    Raises:
        UnavailableError: the socket cannot be made.
    """
    with _bound(path) as listening:
        server = await asyncio.get_running_loop().create_unix_server(
            accept, sock=listening, backlog=_BACKLOG
        )
        try:
            yield
        finally:
            server.close()


async def connect_to(path: Path, make: Callable[[], ProtocolT]) -> ProtocolT:
    """Return the protocol of a new connection to a socket of our user.

    Raises:
        UnavailableError: no process accepts connections there, or it belongs to another user.
    """
    require_own_socket(path, str(path))
    try:
        _, protocol = await asyncio.get_running_loop().create_unix_connection(make, str(path))
    except OSError as error:
        raise UnavailableError(f"socket {path}", error.strerror or str(error)) from error
    if protocol.refused:
        raise UnavailableError(f"socket {path}", protocol.refused)
    return protocol


@contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    """Yield a socket that is bound to a file, which is removed on leaving."""
    listening = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket():  # of a process that was killed
            path.unlink(missing_ok=True)
        with made_for_us_alone(path):
            listening.bind(str(path))
        made = path.stat().st_ino
    except OSError as error:
        listening.close()
        raise UnavailableError(f"socket {path}", error.strerror or str(error)) from error
    try:
        yield listening
    finally:
        with suppress(FileNotFoundError):
            if path.stat().st_ino == made:  # otherwise it is a successor's
                path.unlink()


def _peer_uid(transport: asyncio.Transport) -> int:
    peer: socket.socket = transport.get_extra_info("socket")
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(found)
    return int(uid)
