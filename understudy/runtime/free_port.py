"""Ports for a process that binds them shortly afterwards.

They are taken from below the ephemeral range, in which the kernel may give a port to an outgoing
connection of any process before ours binds it.
"""

import errno
import random
import socket
from contextlib import ExitStack
from pathlib import Path

_LEAST_PORT = 15_000
_MOST_TRIES = 100  # of random ports
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that was free a moment ago."""
    return free_ports(1, host)[0]


def free_ports(
    count: int, host: str = "127.0.0.1", *, range_file: Path = _EPHEMERAL_RANGE
) -> list[int]:
    """Return `count` different ports that were free a moment ago.

    Args:
        count: number of ports.
        host: an IP of this machine.
        range_file: starts with the first ephemeral port; without it any free ports are returned.
    """
    end = _first_ephemeral(range_file)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as held:  # held until all are found, so that they differ
        probes = [held.enter_context(socket.socket(family)) for _ in range(count)]
        for probe in probes:
            _bind(probe, host, end)
        return [probe.getsockname()[1] for probe in probes]


def _bind(probe: socket.socket, host: str, end: int) -> None:
    """Bind to a free port below `end`, or to any port if none is found there."""
    for _ in range(_MOST_TRIES if end > _LEAST_PORT else 0):
        try:
            probe.bind((host, random.randrange(_LEAST_PORT, end)))  # noqa: S311 - not a secret
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    probe.bind((host, 0))


def _first_ephemeral(range_file: Path) -> int:
    try:
        return int(range_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
