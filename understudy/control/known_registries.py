"""The registries of stacks on this machine, known to commands of the same user by their addresses.

A stack keeps the access to its registry (an authority, a token) in a folder of its own. The
user's state directory has a link to that folder, named by the address, while the stack runs.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

_IN_USE = "in-use"  # locked in the folder while its stack runs: a link outlives a killed stack
_EVERY_HOST = ("0.0.0.0", "[::]", "")  # noqa: S104 - addresses to recognise, not to bind


@contextmanager
def made_known(address: str, folder: Path, environment: Mapping[str, str]) -> Iterator[bool]:
    """Let commands of this user find `folder` by the registry's `address` during the block.

    Yields False if the user has no state directory that can be written.
    """
    with (folder / _IN_USE).open("w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        link = _link_of(address, environment)
        try:
            if link is not None:
                _point(link, folder.resolve())
        except OSError:
            link = None
        try:
            yield link is not None
        finally:
            with suppress(OSError):
                if link is not None and link.readlink() == folder.resolve():
                    link.unlink()


def known_folder(address: str, environment: Mapping[str, str]) -> Path | None:
    """Return the folder with the access to the registry at `address`; None if no stack here runs it."""
    link = _link_of(address, environment)
    if link is None:
        return None
    try:
        with (link / _IN_USE).open("rb") as in_use:
            fcntl.flock(in_use, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return link.resolve()
    except OSError:
        return None
    return None  # its stack has ended


def _link_of(address: str, environment: Mapping[str, str]) -> Path | None:
    host, _, port = address.rpartition(":")
    here = "127.0.0.1" if host == "localhost" or host in _EVERY_HOST else host
    state = environment.get("XDG_STATE_HOME", "")
    if not Path(state).is_absolute():  # as its specification demands
        home = environment.get("HOME", "")
        if not Path(home).is_absolute():
            return None
        state = f"{home}/.local/state"
    return Path(state, "understudy", "registries", quote(f"{here}:{port}", safe=":[]"))


def _point(link: Path, folder: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(folder)
    new.replace(link)
