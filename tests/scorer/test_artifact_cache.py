"""The host's cache of artifacts: entries that stay, and entries that are deleted."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from scorer.host.artifact_cache import MOST_FETCHES, ArtifactCache
from tests.artifact.models import doubling_artifact
from tests.scorer.fake_registry import FakeRegistry
from tests.stack.waiting import until
from understudy.control.wire import version_from_wire
from understudy.domain.snapshots import VersionSpec
from understudy.domain.versions import VersionRef

DAY_S = 86_400.0


@asynccontextmanager
async def open_cache(registry: FakeRegistry, folder: Path) -> AsyncIterator[ArtifactCache]:
    async with grpc.aio.insecure_channel(registry.address) as channel:
        yield ArtifactCache(folder, channel, timeout_s=10.0, keep_s=DAY_S)


def registered(registry: FakeRegistry, folder: Path, number: int) -> VersionSpec:
    """Register a version that shares the model and has its own notes."""
    artifact = doubling_artifact(folder / f"v{number}")
    (artifact / "notes.txt").write_text(f"version {number}")
    return version_from_wire(registry.version(VersionRef("doubler", number), artifact))


def age(folder: Path, age_s: float) -> None:
    """Set the time when entries of the cache were last named to `age_s` ago."""
    for path in [*folder.glob("files/*"), *folder.glob("artifacts/*")]:
        at_s = path.stat().st_mtime - age_s
        os.utime(path, (at_s, at_s))


def stored(folder: Path) -> set[str]:
    return {path.name for path in [*folder.glob("files/*"), *folder.glob("artifacts/*")]}


def needed_by(*versions: VersionSpec) -> set[str]:
    files = {file.sha256 for version in versions for file in version.files}
    return files | {version.artifact_digest for version in versions}


@asynccontextmanager
async def aged_cache(
    registry: FakeRegistry, folder: Path
) -> AsyncIterator[tuple[ArtifactCache, VersionSpec, VersionSpec]]:
    """Yield a cache with two versions that were last named two days ago."""
    first, second = (registered(registry, folder.parent, number) for number in (1, 2))
    async with open_cache(registry, folder) as cache:
        for version in (first, second):
            await cache.folder_of(version)
        age(folder, 2 * DAY_S)
        yield cache, first, second


async def test_artifacts_that_no_deployment_has_named_for_long_are_deleted(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    async with aged_cache(registry, folder) as (cache, first, second):
        cache.evict([second])

        assert stored(folder) == needed_by(second)
        assert (await cache.folder_of(second) / "model.onnx").is_file()
    assert len(registry.fetched) == len({file.sha256 for file in first.files + second.files})


async def test_recently_named_artifacts_stay_for_a_rollback(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    async with aged_cache(registry, folder) as (cache, first, second):
        cache.evict([first, second])
        cache.evict([second])

        assert stored(folder) == needed_by(first, second)


async def test_a_full_disk_deletes_artifacts_that_are_not_named(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    first, second = (registered(registry, tmp_path, number) for number in (1, 2))
    folder = tmp_path / "cache"
    async with open_cache(registry, folder) as cache:
        await cache.folder_of(first)
        cache.evict([second])
        in_its_place = folder / "artifacts" / second.artifact_digest
        in_its_place.touch()

        with pytest.raises(OSError, match="exists"):
            await cache.folder_of(second)

        assert first.artifact_digest not in stored(folder)
        in_its_place.unlink()
        assert (await cache.folder_of(second) / "model.onnx").is_file()


async def test_an_artifact_that_cannot_be_deleted_is_left_without_harm(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    version = registered(registry, tmp_path, 1)
    folder = tmp_path / "cache"
    async with open_cache(registry, folder) as cache:
        await cache.folder_of(version)
        (folder / "files" / "dangling").symlink_to("nowhere")

        cache.evict([version])

        assert stored(folder) == needed_by(version) | {"dangling"}


async def test_files_of_many_versions_are_fetched_a_few_at_a_time(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    versions = [registered(registry, tmp_path, number) for number in range(1, 3 * MOST_FETCHES)]
    async with open_cache(registry, tmp_path / "cache") as cache:
        await cache.folder_of(versions[0])  # the model, which all share
        registry.sends.clear()
        fetching = asyncio.gather(*[cache.folder_of(version) for version in versions])

        async def is_full() -> bool:
            return registry.fetches >= MOST_FETCHES

        await until(is_full)
        registry.sends.set()
        await fetching

    assert registry.most_fetches == MOST_FETCHES
