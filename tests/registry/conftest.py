"""A registry over real files and real gRPC, one per test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.registry.earlier_schema import Earlier, in_postgresql, in_sqlite
from tests.registry.operator import Operator, running_registry, served_registry
from tests.registry.postgresql import Original, Server
from tests.registry.postgresql import running_server as running_postgresql
from tests.registry.samples import ACTOR, new_version, record_with
from tests.seaweed import seaweed_for_this_process
from understudy.domain.changes import DeployChampion


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Yield a server of PostgreSQL; tests that need one are skipped where there is none."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def original(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Original:
    """Return database and directory of a stopped registry with fraud@1, deployed."""
    made = Original(postgresql.new_database(), tmp_path_factory.mktemp("original"))

    async def fill() -> None:
        async with running_registry(made.directory, store=made.place.conninfo) as channel:
            operator = Operator(channel)
            response = await operator.register(new_version())
            assert response.report.complete, response.report
            await operator.change(DeployChampion(1))

    asyncio.run(fill())
    return made


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run an S3, and set the variables by which clients find it."""
    with seaweed_for_this_process(tmp_path_factory.mktemp("seaweed"), "artifacts"):
        yield


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """Yield a client of an empty registry in `tmp_path`."""
    async with running_registry(tmp_path) as channel:
        yield Operator(channel)


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a stopped registry with fraud@1 and fraud@2; copy it before use."""
    directory = tmp_path_factory.mktemp("two-versions")

    async def fill() -> None:
        async with running_registry(directory) as channel:
            for contact in ("first@lab", "second@lab"):
                record = record_with("people.contact", contact)
                response = await Operator(channel).register(new_version(record))
                assert response.report.complete, response.report

    asyncio.run(fill())
    return directory


@pytest.fixture
def seeded(two_versions: Path, tmp_path: Path) -> Path:
    """Return the directory of a stopped registry that has fraud@1 and fraud@2."""
    return Path(shutil.copytree(two_versions, tmp_path / "registry"))


@pytest.fixture
async def deployer(seeded: Path) -> AsyncIterator[Operator]:
    """Yield a client of the registry in `seeded`, which has fraud@1 and fraud@2."""
    async with running_registry(seeded) as channel:
        yield Operator(channel)


@pytest.fixture
def registry(seeded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the address of a server with fraud@1 and fraud@2, which commands use by default."""
    with served_registry(seeded) as target:
        monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
        monkeypatch.setenv("UNDERSTUDY_ACTOR", ACTOR)
        yield target


@pytest.fixture(scope="module")
def _unchanged_server(
    two_versions: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("unchanged") / "registry"
    with served_registry(Path(shutil.copytree(two_versions, directory))) as target:
        yield target


@pytest.fixture
def unchanged(_unchanged_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a shared `registry`, for tests that change nothing."""
    monkeypatch.setenv("UNDERSTUDY_REGISTRY", _unchanged_server)
    monkeypatch.setenv("UNDERSTUDY_ACTOR", ACTOR)
    return _unchanged_server


@pytest.fixture(params=["sqlite", "postgresql"])
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Earlier:
    """Return a stopped registry with schema 6, over each kind of database."""
    directory = tmp_path / "earlier"
    if request.param == "sqlite":
        return in_sqlite(directory)
    return in_postgresql(request.getfixturevalue("postgresql"), directory)
