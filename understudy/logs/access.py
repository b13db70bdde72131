"""Access to the files of the logs: only ours, or readable by the group of the log folder.

The log folder itself says which, by its set-group-ID bit, so that all its writers (routers, the
import of outcomes) agree without settings of their own. The kernel gives new entries of such a
folder its group; the modes are set here, because every process has a umask of 077.
"""

import grp
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from understudy.domain.errors import InvalidInputError

_OWN_FOLDER = 0o700
_SHARED_FOLDER = 0o2750
_SHARED_FILE = 0o640


@dataclass(frozen=True, slots=True)
class LogAccess:
    """Creates folders and admits readers to files below one log folder."""

    group_reads: bool = False

    def make_folder(self, folder: Path) -> None:
        """Create `folder` and its missing parents.

        Raises:
            OSError: it cannot be created.
        """
        missing = [folder, *folder.parents]
        for each in reversed([path for path in missing if not path.exists()]):
            each.mkdir(exist_ok=True)  # another writer may be first
            if self.group_reads:
                each.chmod(_SHARED_FOLDER)

    def admit(self, file: Path) -> None:
        """Let the group read `file`, if it reads the log folder."""
        if self.group_reads:
            file.chmod(_SHARED_FILE)


def access_of(root: Path) -> LogAccess:
    """Return the access to a log folder, which is created if it does not exist.

    Raises:
        OSError: it cannot be created.
    """
    root.mkdir(parents=True, exist_ok=True)
    mode = root.stat().st_mode
    return LogAccess(group_reads=bool(mode & stat.S_ISGID and mode & stat.S_IRGRP))


def keep_from_group(root: Path) -> None:
    """Undo `share_with_group` for files written from now on."""
    if root.exists() and root.stat().st_mode & stat.S_ISGID:
        root.chmod(_OWN_FOLDER)


def share_with_group(root: Path, group: str) -> None:
    """Let `group` (a name or a number) read the files written below `root` from now on.

    Raises:
        InvalidInputError: there is no such group, or this process may not give files to it.
        OSError: the folder cannot be created.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        os.chown(root, -1, _group_id(group))
        root.chmod(_SHARED_FOLDER)
    except PermissionError as error:
        accepted = f"a group of this process, and {root} owned by its user"
        raise InvalidInputError.of("log_group", read=group, accepted=accepted) from error
    if not root.stat().st_mode & stat.S_ISGID:  # cleared by the kernel without an error
        accepted = "a group of this process"
        raise InvalidInputError.of("log_group", read=group, accepted=accepted)


def _group_id(group: str) -> int:
    try:
        return int(group) if group.isascii() and group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        accepted = "the name or the number of a group of this machine"
        raise InvalidInputError.of("log_group", read=group, accepted=accepted) from error
