"""Artifacts on this machine: files by their sha256, versions as folders of hard links."""

import asyncio
import os
import shutil
from hashlib import sha256
from pathlib import Path

import grpc
import structlog

from domain.errors import CorruptedError, InvalidInputError, UnavailableError
from domain.snapshots import VersionSpec
from domain.versions import ArtifactFile
from scorer.artifact import is_confined
from understudy.v1 import registry_pb2, registry_pb2_grpc

_log = structlog.get_logger()


class ArtifactCache:
    """Fetches each file once. Safe for several versions at a time."""

    def __init__(self, directory: Path, channel: grpc.aio.Channel, *, timeout_s: float) -> None:
        self._files = directory / "files"
        self._artifacts = directory / "artifacts"
        self._files.mkdir(parents=True, exist_ok=True)
        self._artifacts.mkdir(parents=True, exist_ok=True)
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)
        self._timeout_s = timeout_s
        self._fetching: dict[str, asyncio.Lock] = {}

    async def folder_of(self, version: VersionSpec) -> Path:
        """Return a folder with the files of `version`, fetched where they are missing.

        Raises:
            UnavailableError: the registry does not answer.
            CorruptedError: it sent other bytes than it registered.
            InvalidInputError: a path leaves the artifact.
        """
        folder = self._artifacts / version.artifact_digest
        for file in version.files:
            if not is_confined(file.path):
                raise InvalidInputError.of(
                    "files.path", read=file.path, accepted="a path below the artifact"
                )
            stored = await self._fetched(file)
            _link(stored, folder / file.path)
        return folder

    def forget(self, version: VersionSpec) -> None:
        """Drop the stored files of `version`, so that they are fetched anew."""
        for file in version.files:
            (self._files / file.sha256).unlink(missing_ok=True)

    async def _fetched(self, file: ArtifactFile) -> Path:
        stored = self._files / file.sha256
        async with self._fetching.setdefault(file.sha256, asyncio.Lock()):
            if not stored.is_file() or stored.stat().st_size != file.size_bytes:
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


def _link(stored: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    try:
        os.link(stored, scratch)
    except OSError:  # a file system without hard links
        shutil.copyfile(stored, scratch)
    scratch.replace(path)
