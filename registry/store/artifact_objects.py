"""The port of places for artifact files, and its adapter of a folder.

An object has a sha256 as its name. Its bytes are verified by `registry.store.artifacts`, not here.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from understudy.domain.errors import UnavailableError
from understudy.runtime.synced_folder import sync_folder

PIECE_BYTES = 1 << 20
STORE = "artifact store"  # in errors
_NAME = re.compile(r"[0-9a-f]{64}")
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Objects(Protocol):
    """A place for files, for several threads and several processes.

    Each method raises an UnavailableError if the place does not answer, or takes no more.
    """

    def has(self, digest: str) -> bool:
        """Return whether there is an object of that name."""
        ...

    def stored(self) -> dict[str, int]:
        """Return the size in bytes of every object, by name."""
        ...

    def pieces(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes of an object in pieces, none of them empty.

        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def add(self, digest: str, path: Path) -> None:
        """Take the file at `path`, which may be gone then, under a name; at once, or not at all."""
        ...

    def settle(self, digest: str) -> None:
        """Let an object that is there survive a crash, as one that was added here does."""
        ...

    def lend(self, digest: str, path: Path) -> None:
        """Let the new file `path` have the bytes of an object, perhaps as a link.

        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def remove(self, digest: str) -> None:
        """Remove an object if it is there."""
        ...


def is_object_name(text: str) -> bool:
    """Return whether `text` is a sha256 in lower-case hex digits."""
    return _NAME.fullmatch(text) is not None


class FolderObjects:
    """Files below a folder; several registries may mount it."""

    def __init__(self, root: Path) -> None:
        """Make the folder.

        Raises:
            UnavailableError: it cannot be made.
        """
        self._root = root
        with translated():
            root.mkdir(parents=True, exist_ok=True)

    def path_of(self, digest: str) -> Path:
        """Return the path of an object, which need not be there."""
        return self._root / digest[:2] / digest

    def has(self, digest: str) -> bool:
        return self.path_of(digest).is_file()

    def stored(self) -> dict[str, int]:
        with translated():
            return {
                path.name: path.stat().st_size
                for path in self._root.glob("??/*")
                if is_object_name(path.name)
            }

    def pieces(self, digest: str) -> Iterator[bytes]:
        with translated(), self.path_of(digest).open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def add(self, digest: str, path: Path) -> None:
        final = self.path_of(digest)
        with translated():
            final.parent.mkdir(exist_ok=True)
            path.replace(final)
            final.chmod(0o400)
        self.settle(digest)

    def settle(self, digest: str) -> None:
        with translated():
            sync_folder(self.path_of(digest).parent)

    def lend(self, digest: str, path: Path) -> None:
        with translated():
            path.hardlink_to(self.path_of(digest))

    def remove(self, digest: str) -> None:
        with translated():
            self.path_of(digest).unlink(missing_ok=True)


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of the file system as ours; an absent file stays a FileNotFoundError.

    Raises:
        UnavailableError: the file system refused something.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        why = "no space left" if error.errno in _NO_SPACE else os.strerror(error.errno or 0)
        raise UnavailableError(STORE, why) from error
