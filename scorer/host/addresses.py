"""Listening addresses of scorers: a place keeps its address across restarts while it is wanted."""

import os
import stat
import tempfile
from hashlib import sha256
from itertools import count
from pathlib import Path

from scorer.decisions.fleet import Place
from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.free_port import free_port

UNIX = "unix"
_OF_OTHERS = 0o077  # mode bits
_LONGEST_SOCKET_PATH_BYTES = 100  # the kernel accepts 107; the socket of frames has 7 more


class Addresses:
    """Unix sockets below a folder, or TCP ports on an IP.

    Raises:
        InvalidInputError: on construction, if the folder of the sockets is accessible to others,
            or the IP does not belong to this machine.
    """

    def __init__(
        self, kind: str, directory: Path, *, first_metrics_port: int | None = None
    ) -> None:
        self._kind = kind
        self._sockets = _short(directory.resolve() / "sockets")
        self._ports: dict[Place, int] = {}
        self._first_metrics_port = first_metrics_port
        self._metrics_slots: dict[Place, int] = {}
        if kind == UNIX:
            _make_private(self._sockets)
        else:
            _check_ours(kind)

    def address_of(self, place: Place) -> str:
        """Return the gRPC target of `place`."""
        if self._kind == UNIX:
            return f"unix:{self._sockets / _socket_name(place)}"
        if place not in self._ports:
            self._ports[place] = self._unused_port()
        return f"{self._kind}:{self._ports[place]}"

    def metrics_port_of(self, place: Place) -> int | None:
        """Return the metrics port of `place`, or None if it has none."""
        if self._first_metrics_port is None:
            return None
        if place not in self._metrics_slots:
            taken = set(self._metrics_slots.values())
            self._metrics_slots[place] = next(slot for slot in count() if slot not in taken)
        return self._first_metrics_port + self._metrics_slots[place]

    def _unused_port(self) -> int:
        given = self._ports.values()  # their scorers may not have bound them yet
        while (port := free_port(_bare(self._kind))) in given:
            continue
        return port

    def release(self, place: Place) -> None:
        """Make the ports of `place`, which is no longer wanted, available to other places."""
        self._metrics_slots.pop(place, None)
        self._ports.pop(place, None)


def _socket_name(place: Place) -> str:
    name = f"{place}.sock"
    return name if len(name) <= 40 else f"{sha256(name.encode()).hexdigest()[:32]}.sock"  # noqa: PLR2004


def _short(directory: Path) -> Path:
    """Return `directory`, or a short substitute if socket paths below it would be too long."""
    if len(os.fsencode(directory)) + 41 <= _LONGEST_SOCKET_PATH_BYTES:
        return directory
    name = sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"understudy-{os.getuid()}-{name}"


def _bare(ip: str) -> str:
    return ip.strip("[]")


def _check_ours(ip: str) -> None:
    try:
        free_port(_bare(ip))
    except OSError as error:
        read = f"{ip} ({error.strerror or error})"
        accepted = f"{UNIX}, or an IP of this machine"
        raise InvalidInputError([Fault("scorer_address", read, accepted)]) from error


def _make_private(directory: Path) -> None:
    """Create `directory`, or check that the existing one was not prepared by another user.

    Its name can be guessed, and every user may write to the temporary folder.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = directory.lstat()
    except OSError as error:
        read = error.strerror or str(error)
    else:
        if not stat.S_ISDIR(found.st_mode):
            read = "a link"
        elif found.st_uid != os.geteuid():
            read = f"a folder of user {found.st_uid}"
        elif found.st_mode & _OF_OTHERS:
            read = f"mode {stat.S_IMODE(found.st_mode):04o}"
        else:
            return
    accepted = f"{directory} as a folder of our user, with mode 0700"
    raise InvalidInputError([Fault("folder of the sockets", read, accepted)])
