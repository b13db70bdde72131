"""Open clients, and the replacement of their certificates and tokens."""

import asyncio
import queue
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.test_client import ScriptedService, served
from tests.client.test_connections import PATIENT_S, UNIT, Authority
from understudy.client import (
    AsyncScoringClient,
    ScoringClient,
    TlsFiles,
    UnavailableError,
    score_request,
)


@dataclass(frozen=True)
class Opened:
    """A client of either kind, with the same two calls."""

    score: Callable[[], Awaitable[object]]
    stream: Callable[[], "Stream"]


@dataclass(frozen=True)
class Stream:
    """An open stream."""

    send: Callable[[], None]
    answer: Callable[[], Awaitable[object]]
    end: Callable[[], Awaitable[None]]


@asynccontextmanager
async def threaded(target: str, files: TlsFiles) -> AsyncIterator[Opened]:
    with ScoringClient(target, timeout_s=PATIENT_S, credentials=files) as client:

        async def score() -> object:
            return client.score("fraud", UNIT)

        def stream() -> Stream:
            sent: queue.Queue[Any] = queue.Queue()

            def requests() -> Iterator[Any]:
                while (request := sent.get()) is not None:
                    yield request

            answers = client.score_stream(requests())

            async def end() -> None:
                sent.put(None)
                assert [*answers] == []

            async def answer() -> object:
                return next(answers)

            return Stream(lambda: sent.put(score_request("fraud", UNIT)), answer, end)

        yield Opened(score, stream)


@asynccontextmanager
async def by_asyncio(target: str, files: TlsFiles) -> AsyncIterator[Opened]:
    async with AsyncScoringClient(target, timeout_s=PATIENT_S, credentials=files) as client:

        def stream() -> Stream:
            sent: asyncio.Queue[Any] = asyncio.Queue()

            async def requests() -> AsyncIterator[Any]:
                while (request := await sent.get()) is not None:
                    yield request

            answers = client.score_stream(requests())

            async def end() -> None:
                sent.put_nowait(None)
                assert [each async for each in answers] == []

            return Stream(
                lambda: sent.put_nowait(score_request("fraud", UNIT)),
                lambda: anext(answers),
                end,
            )

        yield Opened(lambda: client.score("fraud", UNIT), stream)


both_clients = pytest.mark.parametrize("opened", [threaded, by_asyncio])


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """The authority that the server knows, and a stranger."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    ours, strangers = (tmp_path_factory.mktemp(name) for name in ("ours", "strangers"))
    return Authority(ours), Authority(strangers)


@pytest.fixture(scope="module")
def server_credentials(authorities: tuple[Authority, Authority]) -> grpc.ServerCredentials:
    ours, _ = authorities
    certificate, key = (path.read_bytes() for path in ours.certificate_of("router"))
    return grpc.ssl_server_credentials(
        [(key, certificate)], ours.roots.read_bytes(), require_client_auth=True
    )


def issue(authority: Authority, folder: Path, roots: Path) -> TlsFiles:
    """Write a new certificate and its key to `folder`, over older ones."""
    certificate, key = folder / "caller.pem", folder / "caller.key"
    for new, path in zip(authority.certificate_of("caller"), (certificate, key), strict=True):
        shutil.copy(new, path)
    return TlsFiles(roots=roots, certificate=certificate, key=key)


@both_clients
async def test_a_replaced_certificate_acts_with_the_next_call(
    opened: Any,
    authorities: tuple[Authority, Authority],
    server_credentials: grpc.ServerCredentials,
    tmp_path: Path,
) -> None:
    ours, strangers = authorities
    files = issue(strangers, tmp_path, ours.roots)
    service = ScriptedService()

    with served(service, credentials=server_credentials) as target:
        async with opened(target, files) as client:
            with pytest.raises(UnavailableError):
                await client.score()
            issue(ours, tmp_path, ours.roots)
            await client.score()
            await client.score()

    assert service.calls["Score"] == 2
    assert len(service.peers) == 1


@both_clients
async def test_a_certificate_without_its_new_key_leaves_the_connection_in_use(
    opened: Any,
    authorities: tuple[Authority, Authority],
    server_credentials: grpc.ServerCredentials,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, strangers = authorities
    files = issue(ours, tmp_path, ours.roots)
    service = ScriptedService()

    with served(service, credentials=server_credentials) as target:
        async with opened(target, files) as client:
            await client.score()
            shutil.copy(strangers.certificate_of("caller")[0], tmp_path / "caller.pem")
            await client.score()
            await client.score()
            former = set(service.peers)
            issue(ours, tmp_path, ours.roots)
            await client.score()

    assert len(former) == 1
    assert len(service.peers) == 2
    assert caplog.text.count("the certificates in use stay") == 1


@both_clients
async def test_an_open_stream_outlives_a_renewal(
    opened: Any,
    authorities: tuple[Authority, Authority],
    server_credentials: grpc.ServerCredentials,
    tmp_path: Path,
) -> None:
    ours, _ = authorities
    files = issue(ours, tmp_path, ours.roots)
    service = ScriptedService()

    with served(service, credentials=server_credentials) as target:
        async with opened(target, files) as client:
            stream = client.stream()
            stream.send()
            await stream.answer()
            for _ in range(3):
                issue(ours, tmp_path, ours.roots)
                await client.score()
            stream.send()
            await stream.answer()
            await stream.end()

    assert service.calls["ScoreStream"] == 1
    assert len(service.peers) == 4


@both_clients
async def test_a_replaced_token_goes_with_the_next_call(
    opened: Any,
    authorities: tuple[Authority, Authority],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Over the same connection; a file without a token leaves the one of before."""
    ours, _ = authorities
    certificate, key = (path.read_bytes() for path in ours.certificate_of("router"))
    token = tmp_path / "token"
    token.write_text("first\n")
    service = ScriptedService()

    with served(service, credentials=grpc.ssl_server_credentials([(key, certificate)])) as target:
        async with opened(target, TlsFiles(roots=ours.roots, token_file=token)) as client:
            for content in ("first\n", "", "second\n"):
                token.write_text(content)
                await client.score()
                await client.score()

    proofs = [each["authorization"] for each in service.metadata]
    assert proofs == ["Bearer first"] * 4 + ["Bearer second"] * 2
    assert len(service.peers) == 1
    assert caplog.text.count("the token in use stays") == 1
    assert "first" not in caplog.text
