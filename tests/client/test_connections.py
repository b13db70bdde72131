"""The connections of both clients: TLS, certificates and tokens, metadata, interceptors."""

import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.client.test_client import ScriptedService, served
from understudy.client import (
    AccessRefusedError,
    AsyncScoringClient,
    CannotConnectError,
    ScoringClient,
    TlsFiles,
)

UNIT = {"user": "u1"}
PATIENT_S = 60.0


async def by_threads(target: str, **connection: Any) -> float:
    with ScoringClient(target, **{"timeout_s": PATIENT_S, **connection}) as client:
        return client.score("fraud", UNIT, metadata=(("traceparent", "00-1"),)).score


async def by_asyncio(target: str, **connection: Any) -> float:
    async with AsyncScoringClient(target, **{"timeout_s": PATIENT_S, **connection}) as client:
        answer = await client.score("fraud", UNIT, metadata=(("traceparent", "00-1"),))
        return answer.score


Score = Callable[..., Awaitable[float]]
both_clients = pytest.mark.parametrize("score", [by_threads, by_asyncio])


class Authority:
    """A certificate authority, and certificates that it signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.roots = folder / "authority.pem"
        self._openssl(
            *("req", "-x509", "-subj", "/CN=authority", "-out", self.roots, "-days", "2"),
            *self._new_key("authority"),
        )

    def certificate_of(self, name: str) -> tuple[Path, Path]:
        """Return the files of a certificate for `name`, and for loopback, and of its key."""
        certificate = self._folder / f"{name}.pem"
        self._openssl(
            *("req", "-x509", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-CA", self.roots, "-CAkey", self._folder / "authority.key", "-days", "2"),
            *("-out", certificate),
            *self._new_key(name),
        )
        return certificate, self._folder / f"{name}.key"

    def credentials_of(self, name: str, token: Callable[[], str]) -> TlsFiles:
        certificate, key = self.certificate_of(name)
        return TlsFiles(roots=self.roots, certificate=certificate, key=key, token=token)

    def _new_key(self, name: str) -> tuple[str | Path, ...]:
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        return (*curve, "-keyout", self._folder / f"{name}.key")

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server_credentials(authority: Authority) -> grpc.ServerCredentials:
    """The credentials of a server that demands a certificate from callers."""
    certificate, key = (path.read_bytes() for path in authority.certificate_of("router"))
    return grpc.ssl_server_credentials(
        [(key, certificate)], authority.roots.read_bytes(), require_client_auth=True
    )


@both_clients
async def test_a_caller_with_a_certificate_and_a_token_is_served(
    score: Score, authority: Authority, server_credentials: grpc.ServerCredentials
) -> None:
    service = ScriptedService()
    credentials = authority.credentials_of("caller", token=lambda: "t0ken")

    with served(service, credentials=server_credentials) as target:
        answer = await score(target, credentials=credentials)

    assert answer == 0.25
    assert service.metadata[0]["authorization"] == "Bearer t0ken"


@both_clients
@pytest.mark.parametrize("known", ["nothing", "the authority"])
async def test_a_caller_without_trust_or_certificate_reads_that_it_cannot_connect(
    score: Score,
    known: str,
    authority: Authority,
    server_credentials: grpc.ServerCredentials,
) -> None:
    roots = authority.roots if known == "the authority" else None

    with (
        served(ScriptedService(), credentials=server_credentials) as target,
        pytest.raises(CannotConnectError, match=f"cannot connect to {target}"),
    ):
        await score(target, credentials=TlsFiles(roots=roots), timeout_s=0.5)


@both_clients
async def test_a_token_that_cannot_be_had_ends_the_call(
    score: Score, authority: Authority, server_credentials: grpc.ServerCredentials
) -> None:
    service = ScriptedService()

    def no_token() -> str:
        raise LookupError("no token")

    credentials = authority.credentials_of("caller", token=no_token)
    with (
        served(service, credentials=server_credentials) as target,
        pytest.raises(grpc.RpcError, match="no token"),
    ):
        await score(target, credentials=credentials)

    assert service.calls["Score"] == 0


@pytest.mark.parametrize("given", ["certificate", "key"])
def test_a_certificate_without_its_key_is_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"certificate and key: read only {given}; accepted: both"):
        TlsFiles(**{given: tmp_path})  # type: ignore[arg-type] # one of the paths


def test_two_sources_of_a_token_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token and token_file: read both"):
        TlsFiles(token_file=tmp_path / "token", token=lambda: "t0ken")


@pytest.mark.parametrize("client", [ScoringClient, AsyncScoringClient])
def test_files_that_are_no_certificates_open_no_client(client: Any, tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text("no certificate")

    with pytest.raises(ValueError, match=r"roots\.pem.*accepted: PEM"):
        client("localhost:1", credentials=TlsFiles(roots=roots))


@both_clients
async def test_metadata_of_the_client_and_of_the_call_are_sent(score: Score) -> None:
    service = ScriptedService(status=grpc.StatusCode.UNAUTHENTICATED, failures=1)

    with served(service) as target, pytest.raises(AccessRefusedError):
        await score(target, metadata=(("tenant", "shop"),))

    assert service.metadata[0].items() >= {("tenant", "shop"), ("traceparent", "00-1")}


class Counting(grpc.UnaryUnaryClientInterceptor):
    calls = 0

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self.calls += 1
        return continuation(details, request)


class CountingAsync(grpc.aio.UnaryUnaryClientInterceptor):
    calls = 0

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        self.calls += 1
        return await continuation(details, request)


@pytest.fixture(params=[(by_threads, Counting), (by_asyncio, CountingAsync)], ids=["sync", "aio"])
def intercepted(request: pytest.FixtureRequest) -> Any:
    score, kind = request.param
    return score, kind()


async def test_calls_go_through_the_interceptors(intercepted: tuple[Score, Any]) -> None:
    score, interceptor = intercepted

    with served(ScriptedService()) as target:
        await score(target, interceptors=(interceptor,))
        await score(target, interceptors=(interceptor,), hedge_after_s=PATIENT_S)

    assert interceptor.calls == 2
