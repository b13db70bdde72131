"""Free ports: below those of outgoing connections, all different, and always available."""

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from understudy.runtime.free_port import free_port, free_ports


def test_no_port_is_in_the_range_of_outgoing_connections(tmp_path: Path) -> None:
    range_file = tmp_path / "range"
    range_file.write_text("16000\t60999\n")

    ports = free_ports(50, range_file=range_file)

    assert all(15_000 <= port < 16_000 for port in ports)
    assert len(set(ports)) == 50


@pytest.mark.parametrize("text", [None, "", "few many", "1024\t65535\n"])
def test_without_room_below_the_range_any_free_port_does(tmp_path: Path, text: str | None) -> None:
    range_file = tmp_path / "range"
    if text is not None:
        range_file.write_text(text)

    (port,) = free_ports(1, range_file=range_file)

    with socket.create_server(("127.0.0.1", port)):
        pass


def test_ports_in_use_are_left_out(tmp_path: Path) -> None:
    range_file = tmp_path / "range"
    range_file.write_text("15002\t60999\n")
    with ExitStack() as held:
        for port in (15_000, 15_001):
            holder = held.enter_context(socket.socket())
            with suppress(OSError):  # then another process holds it
                holder.bind(("127.0.0.1", port))

        (found,) = free_ports(1, range_file=range_file)

    assert found not in (15_000, 15_001)


def test_a_port_is_free_on_the_given_host() -> None:
    port = free_port("127.0.0.2")

    with socket.create_server(("127.0.0.2", port)):
        pass
