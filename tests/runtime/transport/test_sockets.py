"""Sockets of the file system are for processes of one user."""

import os
import socket
import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from understudy.runtime.transport.sockets import (
    made_for_us_alone,
    owner_fault,
    require_own_socket,
    socket_of,
)

uids = st.integers(0, 2**32 - 2)


@given(uids, uids)
def test_only_sockets_of_our_own_user_are_connected_to(owner: int, ours: int) -> None:
    """Those of root as well: they were made for root."""
    assert (owner_fault(owner, ours) is None) == (owner == ours)


def test_a_socket_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    require_own_socket(tmp_path / "absent", "unix:absent")


def test_a_socket_is_for_its_user_alone_from_its_first_moment_on(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0)
    try:
        with made_for_us_alone(path), socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
            mode = stat.S_IMODE(path.stat().st_mode)
        after = os.umask(0)
    finally:
        os.umask(before)

    assert (mode, after) == (0o700, 0)


def test_addresses_of_sockets_are_known_in_each_form() -> None:
    assert socket_of("unix:/run/a") == socket_of("unix:///run/a") == Path("/run/a")
    assert socket_of("unix:a") == Path("a")
    assert socket_of("127.0.0.1:80") is socket_of("unix-abstract:a") is None
