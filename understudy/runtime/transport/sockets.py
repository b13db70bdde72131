"""Sockets of the file system: both ends of a connection are processes of one user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from understudy.domain.errors import UnavailableError

_SCHEME = "unix:"
_OTHERS = 0o077


def socket_of(address: str) -> Path | None:
    """Return the file of a socket with the address `unix:PATH`; None for another kind of address."""
    return Path(address.removeprefix(_SCHEME)) if address.startswith(_SCHEME) else None


def owner_fault(owner_uid: int, our_uid: int) -> str | None:
    """Return the reason not to connect to a socket by its owner, whose process would read all; or None."""
    if owner_uid == our_uid:
        return None
    return (
        f"its socket belongs to the user with uid {owner_uid}, and this process runs as {our_uid}"
    )


def require_own_socket(path: Path, target: str) -> None:
    """Check the owner of a socket before a connection; without a file there is no process to reach.

    Raises:
        UnavailableError: it belongs to another user.
    """
    try:
        owner_uid = path.stat().st_uid
    except OSError:
        return
    why = owner_fault(owner_uid, os.geteuid())
    if why is not None:
        raise UnavailableError(f"address {target}", why)


@contextmanager
def made_for_us_alone(path: Path | None) -> Iterator[None]:
    """Let the socket that the block makes have mode 0700, from its first moment on; None for no socket.

    The kernel then lets processes of our user connect, and no others.
    """
    if path is None:
        yield
        return
    before = os.umask(_OTHERS)
    try:
        yield
    finally:
        os.umask(before)
