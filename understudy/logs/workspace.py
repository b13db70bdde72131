"""The folders of unfinished files: one per log writer, locked while its process lives.

ROOT/.inprogress/WRITER/lock       WRITER~2 if that folder was removed or moved away, and so on
ROOT/.inprogress/WRITER/score/model=fraud/date=2026-11-21/v7-000001.inprogress
  becomes            ROOT/score/model=fraud/date=2026-11-21/v7-WRITER-000001.parquet

The kernel releases a lock when its process ends, so a folder that can be locked is abandoned, and
the process that finds it finishes its journals. Pids are not used: containers share them.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4

import pyarrow as pa

from understudy.logs.access import LogAccess, access_of
from understudy.logs.columns import FileKey
from understudy.logs.journal import JOURNAL_SUFFIX, FinishedRows, Journal, finish_journal
from understudy.logs.schema import LogKind

_UNFINISHED = ".inprogress"
_UNLOCKED_YET = ".new-"
_LOCK = "lock"
_AGAIN = "~"  # in the name of a folder, before its number
_MODEL = "model="


@dataclass(slots=True)
class Workspace:
    """A locked folder for the journals of one writer."""

    root: Path
    writer_id: str
    folder: Path
    access: LogAccess
    _lock: IO[bytes]

    def journal_path(self, key: FileKey, number: int) -> Path:
        partition = f"{key.kind.value}/model={key.model}/date={key.date}"
        return self.folder / partition / f"v{key.version}-{number:06d}{JOURNAL_SUFFIX}"

    def open_journal(self, key: FileKey, schema: pa.Schema, number: int) -> Journal:
        """Open a journal under a number that its writer has not used before.

        Raises:
            OSError: it cannot be created.
        """
        path = self.journal_path(key, number)
        self.access.make_folder(path.parent)
        journal = Journal(path, schema)
        self.access.admit(path)
        return journal

    def finish(self, journal: Path, pause: Callable[[], None]) -> FinishedRows:
        """Make the rows of a closed journal visible; see `finish_journal`."""
        return finish_journal(journal, self.target_of(journal), pause=pause, access=self.access)

    def target_of(self, journal: Path) -> Path:
        """Return the path at which the rows of `journal` become visible; unique per writer."""
        prefix, number = journal.stem.rsplit("-", 1)
        name = f"{prefix}-{self.writer_id}-{number}.parquet"
        return self.root / journal.parent.relative_to(self.folder) / name

    def log_of(self, journal: Path) -> tuple[LogKind, str]:
        """Return the log of a journal, and its model."""
        kind, model, *_ = journal.relative_to(self.folder).parts
        return LogKind(kind), model.removeprefix(_MODEL)

    @property
    def is_in_place(self) -> bool:
        """False once its folder was removed or moved away, as with its disk.

        Other processes would not find it, or find another folder of its name. A disk that does not
        answer the question raises OSError.
        """
        try:
            found = (self.folder / _LOCK).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return os.path.samestat(found, os.fstat(self._lock.fileno()))

    def journals(self) -> list[Path]:
        return _journals(self.folder, "*")

    def remove(self) -> None:
        """Remove the folder with its content, and release its lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def release(self) -> None:
        """Release the lock and leave the folder for the next search for abandoned folders."""
        self._lock.close()


def new_writer_id() -> str:
    """Return a name for a writer that no other has, in any process or container."""
    return f"{os.getpid()}-{uuid4().hex[:12]}"


def folder_of(root: Path, writer_id: str) -> Path:
    """Return the folder of a writer's unfinished files; it may not exist."""
    return root / _UNFINISHED / writer_id


def open_workspace(root: Path, writer_id: str, *, earlier: int = 0) -> Workspace:
    """Create and lock a folder for a writer of the calling process.

    Args:
        root: the log directory.
        writer_id: of the writer.
        earlier: the number of its folders that were lost. The last of them may come back, so the new
            one has another name.

    Raises:
        OSError: `root` cannot be written.
    """
    unfinished = root / _UNFINISHED
    # Locked before it gets its name; otherwise another process could take it as abandoned.
    hidden = unfinished / f"{_UNLOCKED_YET}{writer_id}"
    access = access_of(root)
    access.make_folder(hidden)
    lock = (hidden / _LOCK).open("wb")
    try:
        access.admit(hidden / _LOCK)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        again = f"{_AGAIN}{earlier + 1}" if earlier else ""
        folder = hidden.rename(folder_of(root, writer_id + again))
    except OSError:
        lock.close()
        raise
    return Workspace(root, writer_id, folder, access, lock)


def abandoned_workspaces(root: Path) -> Iterator[Workspace]:
    """Yield, locked, the folders of dead writers. The caller removes or releases each."""
    for folder in sorted((root / _UNFINISHED).glob("*")):
        if folder.name.startswith(_UNLOCKED_YET):
            continue
        try:
            lock = (folder / _LOCK).open("rb+")
        except FileNotFoundError:
            continue  # finished by another process just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()  # its writer is alive
            continue
        yield Workspace(root, _writer_of(folder), folder, access_of(root), lock)


def live_writers(root: Path) -> frozenset[str]:
    """Return the ids of the writers whose process lives."""
    return frozenset(
        _writer_of(folder)
        for folder in (root / _UNFINISHED).glob("*")
        if _is_locked(folder / _LOCK)
    )


def _writer_of(folder: Path) -> str:
    return folder.name.partition(_AGAIN)[0]


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # removed just now, or not ours to read
    return False


def unfinished_journals(root: Path, kind: LogKind) -> list[tuple[Path, str]]:
    """Return the journals of all writers, dead or alive, each with the name of its model."""
    return [
        (path, path.parent.parent.name.removeprefix("model="))
        for folder in sorted((root / _UNFINISHED).glob("*"))
        for path in _journals(folder, kind.value)
    ]


def _journals(folder: Path, kind: str) -> list[Path]:
    found = folder.glob(f"{kind}/model=*/date=*/v*-*{JOURNAL_SUFFIX}")
    # A Parquet file that is being written has the same suffix.
    return sorted(path for path in found if ".parquet" not in path.suffixes)
