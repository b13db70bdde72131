"""The place of the logs that a command reads: a folder, or an object store that routers ship them to.

Of a store the files that a command needs are fetched into a temporary folder, by model and day, and
then read as any others: queries reach no network, and the rules for foreign files are the same.
"""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from understudy.domain.errors import (
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from understudy.domain.store_urls import StoreUrl, is_store_url, parse_store_url
from understudy.logs.finished_files import EVERYTHING, Scope
from understudy.logs.schema import LogKind
from understudy.logs.statements import STATEMENTS
from understudy.runtime.object_store import ObjectStore, StoredObject

_DEPTH = 4  # LOG/model=…/date=…/FILE
_THREADS = 8  # most of the time is waiting for the store
_LEAST_FREE = 0.1  # of the disk, after the fetch


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A folder of logs, or the URL of a store that has them."""

    at: Path | StoreUrl

    @classmethod
    def parse(cls, text: str) -> "LogPlace":
        """Return the place that an option names.

        Raises:
            InvalidInputError: it is a URL of no store that we know.
        """
        return cls(parse_store_url(text, field="log_dir") if is_store_url(text) else Path(text))

    def __str__(self) -> str:
        return str(self.at)

    @property
    def store(self) -> ObjectStore | None:
        """The store, opened; None for a folder.

        Raises:
            The errors of `ObjectStore.open`.
        """
        return ObjectStore.open(self.at) if isinstance(self.at, StoreUrl) else None

    @property
    def folder(self) -> Path:
        """The folder, for commands that change logs or read unfinished files.

        Raises:
            InvalidInputError: the place is a store.
        """
        if isinstance(self.at, StoreUrl):
            accepted = "a folder: this command merges or adds files, or reads unfinished ones"
            raise InvalidInputError.of("log_dir", read=str(self.at), accepted=accepted)
        return self.at

    @contextmanager
    def opened(self, scope: Scope = EVERYTHING) -> Iterator[Path]:
        """Yield a folder with at least the logs in scope; a fetched one is removed at the end.

        Raises:
            NotFoundError: the store has no logs at all.
            RefusedError: those in scope do not fit on the disk of temporary files.
            UnavailableError: the store does not answer, or the files cannot be written.
        """
        if isinstance(self.at, Path):
            yield self.at
            return
        store = ObjectStore.open(self.at)
        with tempfile.TemporaryDirectory(prefix="understudy-logs-") as folder:
            _fetch(store, Path(folder), scope)
            yield Path(folder)


def _fetch(store: ObjectStore, folder: Path, scope: Scope) -> None:
    found = [each for kind in LogKind for each in objects_in_scope(store, kind, scope)]
    statements = list(store.listed(STATEMENTS))
    if not found and not statements:
        raise NotFoundError("log directory", store.url)
    _check_room(folder, sum(each.size_bytes for each in (*found, *statements)))
    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(lambda each: _fetch_one(store, each, folder), (*found, *statements)):
            pass


def objects_in_scope(store: ObjectStore, kind: LogKind, scope: Scope) -> Iterator[StoredObject]:
    """Yield the objects of one log, whatever software has put them there.

    Raises:
        UnavailableError: the store does not answer, or refuses.
    """
    folder = kind.value if scope.model is None else f"{kind.value}/model={scope.model}"
    for each in store.listed(folder):
        parts = PurePosixPath(each.key).parts
        if len(parts) == _DEPTH and all(map(scope.has, parts[1:-1])):
            yield each


def _check_room(folder: Path, needed_bytes: int) -> None:
    disk = shutil.disk_usage(folder)
    if needed_bytes > disk.free - _LEAST_FREE * disk.total:
        raise RefusedError(
            f"the logs asked for have {needed_bytes} bytes, and {folder} has room for "
            f"{disk.free}: ask for one model, or for fewer days"
        )


def _fetch_one(store: ObjectStore, each: StoredObject, folder: Path) -> None:
    target = folder / each.key
    if ".." in PurePosixPath(each.key).parts:
        return  # no router writes such a key
    try:
        content = store.read(each.key)
    except NotFoundError:
        return  # merged or removed since the listing
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except OSError as error:
        raise UnavailableError("log", str(error)) from error
