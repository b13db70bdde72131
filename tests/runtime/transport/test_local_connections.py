"""Connections over sockets without gRPC: between processes of one user, and no others."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from understudy.domain.errors import UnavailableError
from understudy.runtime.transport.local_connections import (
    OwnUserProtocol,
    connect_to,
    listening_at,
)

ANOTHER_UID = 4_242
WITHIN_S = 60.0


class Heard(OwnUserProtocol):
    """One end, which remembers what has happened to it."""

    def __init__(self) -> None:
        self.is_connected = False
        self.received = b""
        self.changed = asyncio.Event()
        self.lost = asyncio.Event()

    def connected(self) -> None:
        self.is_connected = True
        self.changed.set()

    def data_received(self, received: bytes) -> None:
        self.received += received
        self.changed.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set()


class Ends:
    """The accepted ends, in order."""

    def __init__(self) -> None:
        self.made: list[Heard] = []
        self.changed = asyncio.Event()

    def accept(self) -> Heard:
        self.made.append(Heard())
        self.changed.set()
        return self.made[-1]


def open_to_all(path: Path) -> None:
    path.chmod(0o777)


@contextmanager
def as_another_user() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.seteuid(ANOTHER_UID)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_both_ends_of_one_user_are_connected(tmp_path: Path) -> None:
    ends = Ends()
    async with listening_at(tmp_path / "s", ends.accept), asyncio.timeout(WITHIN_S):
        ours = await connect_to(tmp_path / "s", Heard)
        ours.transport.write(b"hello")
        await ends.changed.wait()
        theirs = ends.made[0]
        while theirs.received != b"hello":
            theirs.changed.clear()
            await theirs.changed.wait()
        theirs.transport.close()
        await ours.lost.wait()

    assert ours.is_connected
    assert not ours.refused


async def test_the_socket_is_for_its_user_alone_and_goes_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with listening_at(path, Heard):
        mode = stat.S_IMODE(path.stat().st_mode)

    assert mode == 0o700
    assert not path.exists()


async def test_a_socket_left_by_a_killed_process_is_replaced_and_a_successors_is_kept(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    async with listening_at(path, Heard):
        async with listening_at(path, Heard):
            pass
        assert not path.exists()
    async with listening_at(path, Heard):
        path.rename(tmp_path / "former")
        path.touch()

    assert path.exists()


async def test_a_path_that_is_too_long_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="too long"):
        async with listening_at(tmp_path / ("s" * 108), Heard):
            pass


async def test_without_a_process_there_is_no_connection(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "gone"))
    for name in ("gone", "absent"):
        with pytest.raises(UnavailableError):
            await connect_to(tmp_path / name, Heard)


@pytest.mark.fault
async def test_a_process_of_another_user_is_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the mode of the socket has been opened to all."""
    monkeypatch.chdir(tmp_path)
    open_to_all(tmp_path)
    ends = Ends()
    async with listening_at(tmp_path / "s", ends.accept), asyncio.timeout(WITHIN_S):
        open_to_all(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as foreign:
            with as_another_user():
                foreign.connect("s")
            foreign.setblocking(False)
            await ends.changed.wait()
            await ends.made[0].lost.wait()
            assert await asyncio.get_running_loop().sock_recv(foreign, 1) == b""

    assert f"uid {ANOTHER_UID}" in ends.made[0].refused
    assert not ends.made[0].is_connected


@pytest.mark.fault
async def test_a_process_of_another_user_is_not_connected_to(tmp_path: Path) -> None:
    """Even if the socket's file is ours."""
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(tmp_path / "s"))
        with as_another_user():
            foreign.listen()

        with pytest.raises(UnavailableError, match=f"uid {ANOTHER_UID}"):
            await connect_to(tmp_path / "s", Heard)
