"""The artifacts on this machine: files by their sha256, versions as folders of hard links.

The modification time of an entry is the time when a deployment last named it.
"""

import asyncio
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import grpc
import structlog

from scorer.decisions.cache_keeping import evictable
from understudy.artifact.paths import checked_path
from understudy.domain.errors import CorruptedError, UnavailableError
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import ArtifactFile
from understudy.registry.v1 import registry_pb2, registry_pb2_grpc

MOST_FETCHES = 4  # at a time; a registry has seats for a fleet of such hosts

_log = structlog.get_logger()


class ArtifactCache:
    """Fetches each file once. Safe for concurrent use by several versions.

    Keeps entries that are no longer named for `keep_s`, or until the disk is full.
    """

    def __init__(
        self, directory: Path, channel: grpc.aio.Channel, *, timeout_s: float, keep_s: float
    ) -> None:
        self._files = directory / "files"
        self._artifacts = directory / "artifacts"
        self._files.mkdir(parents=True, exist_ok=True)
        self._artifacts.mkdir(parents=True, exist_ok=True)
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._timeout_s = timeout_s
        self._keep_s = keep_s
        self._named: tuple[VersionSpec, ...] | None = None  # None: not known yet
        self._fetching: dict[str, asyncio.Lock] = {}
        self._places = asyncio.Semaphore(MOST_FETCHES)

    async def folder_of(self, version: VersionSpec) -> Path:
        """Return a folder with the files of `version`, fetching missing ones.

        Raises:
            UnavailableError: the registry does not answer.
            CorruptedError: the bytes that it sent do not match the registered digest.
            InvalidInputError: a path leads outside the artifact.
            OSError: the files cannot be stored, e.g. the disk is full; unnamed entries were deleted.
        """
        try:
            return await self._folder_of(version)
        except OSError:
            if self._named is not None:
                self._evict(self._named, keep_s=0.0)
            raise

    def evict(self, named: Iterable[VersionSpec]) -> None:
        """Delete entries that no version in `named` needs, or has needed for `keep_s`."""
        self._named = tuple(named)
        self._evict(self._named, self._keep_s)

    def _evict(self, named: tuple[VersionSpec, ...], keep_s: float) -> None:
        _let_go(self._artifacts, {version.artifact_digest for version in named}, keep_s)
        files = {file.sha256 for version in named for file in version.files}
        for gone in _let_go(self._files, files, keep_s):
            self._fetching.pop(gone, None)

    async def _folder_of(self, version: VersionSpec) -> Path:
        folder = self._artifacts / version.artifact_digest
        for file in version.files:
            path = checked_path(file.path, "files.path")
            _link(await self._fetched(file), folder / path)
        return folder

    def forget(self, version: VersionSpec) -> None:
        """Delete the stored files of `version`, so that they are fetched again."""
        for file in version.files:
            (self._files / file.sha256).unlink(missing_ok=True)

    async def _fetched(self, file: ArtifactFile) -> Path:
        stored = self._files / file.sha256
        async with self._fetching.setdefault(file.sha256, asyncio.Lock()):
            if not stored.is_file() or stored.stat().st_size != file.size_bytes:
                async with self._places:
                    await self._fetch(file, stored)
        return stored

    async def _fetch(self, file: ArtifactFile, stored: Path) -> None:
        scratch = stored.with_name(f"{stored.name}.{os.getpid()}.part")
        digest = sha256()
        request = registry_pb2.FetchArtifactFileRequest(sha256=file.sha256)
        try:
            with scratch.open("wb") as stream:
                async for chunk in self._stub.FetchArtifactFile(request, timeout=self._timeout_s):
                    digest.update(chunk.data)
                    stream.write(chunk.data)
            if digest.hexdigest() != file.sha256:
                raise CorruptedError(
                    f"the registry sent {file.path!r} with sha256 {digest.hexdigest()}, "
                    f"registered {file.sha256}"
                )
            scratch.replace(stored)
        except grpc.aio.AioRpcError as error:
            raise UnavailableError("registry", f"{error.code().name}: {error.details()}") from error
        finally:
            scratch.unlink(missing_ok=True)
        _log.info("artifact_file_fetched", path=file.path, sha256=file.sha256)


def _let_go(directory: Path, named: set[str], keep_s: float) -> tuple[str, ...]:
    """Delete entries of `directory` and return their names. Entries that cannot be deleted stay."""
    now_s = datetime.now(UTC).timestamp()
    try:
        paths = {path.name: path for path in directory.iterdir()}
        # A file that is being fetched has its final name plus a suffix.
        needed = {name for name in paths if name.partition(".")[0] in named}
        for name in needed:
            os.utime(paths[name])
        last_named_s = {name: path.stat().st_mtime for name, path in paths.items()}
        gone = evictable(last_named_s, needed, now_s=now_s, keep_s=keep_s)
        for name in gone:
            _delete(paths[name])
    except OSError as error:
        _log.warning("artifacts_not_evicted", directory=str(directory), why=str(error))
        return ()
    if gone:
        _log.info("artifacts_evicted", directory=str(directory), names=gone)
    return gone


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _link(stored: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    try:
        os.link(stored, scratch)
    except OSError:  # a file system without hard links
        shutil.copyfile(stored, scratch)
    scratch.replace(path)
