"""Tokens over real connections: of a file, each call has the present content."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from tests.runtime.transport.authorities import Authority
from understudy.control.access import CommandSettings
from understudy.domain.errors import InvalidInputError
from understudy.runtime.front.grpc_server import open_server
from understudy.runtime.secret_files import write_secret
from understudy.runtime.settings import load_settings
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.tokens import TokenFile
from understudy.runtime.transport.transport import Transport

HOST, PATH = "localhost", "/tests.Echo/Token"
LIMIT_S = 60.0
Call = Callable[[], Awaitable[str]]


async def echo(_request: bytes, context: Any) -> bytes:
    """Answer with the proof of the call's name."""
    proof: str = dict(context.invocation_metadata())["authorization"]
    return proof.encode()


@asynccontextmanager
async def served(authority: Authority) -> AsyncIterator[str]:
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    async with open_server() as server:
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("tests.Echo", {"Token": handler}),)
        )
        port = Transport(authority.files_of(HOST)).bind(server, "127.0.0.1:0")
        await server.start()
        yield f"{HOST}:{port}"


@asynccontextmanager
async def by_asyncio(target: str, transport: Transport) -> AsyncIterator[Call]:
    async with transport.open_channel(target) as channel:
        method: Any = channel.unary_unary(PATH)

        async def call() -> str:
            answer: bytes = await method(b"", timeout=LIMIT_S)
            return answer.decode()

        yield call


@asynccontextmanager
async def by_threads(target: str, transport: Transport) -> AsyncIterator[Call]:
    with transport.open_blocking_channel(target) as channel:
        method: Any = channel.unary_unary(PATH)

        async def call() -> str:
            answer: bytes = await asyncio.to_thread(method, b"", timeout=LIMIT_S)
            return answer.decode()

        yield call


@pytest.mark.parametrize("calling", [by_asyncio, by_threads])
async def test_a_replaced_token_goes_with_the_next_call_of_an_open_channel(
    calling: Any, tmp_path: Path
) -> None:
    """Also after a content that is unusable, which leaves the token of before."""
    authority, file = Authority(tmp_path / "authority"), tmp_path / "token"
    write_secret(file, b"first\n")
    transport = Transport(TlsFiles(ca=authority.ca_file), token=TokenFile(file))

    with structlog.testing.capture_logs() as lines:
        async with served(authority) as target, calling(target, transport) as call:
            proofs = [await call(), await call()]
            write_secret(file, b"\n")
            proofs += [await call(), await call()]
            file.unlink()
            proofs.append(await call())
            write_secret(file, b"second\n")
            proofs += [await call(), await call()]

    assert proofs == ["Bearer first"] * 5 + ["Bearer second"] * 2
    events = [line["event"] for line in lines if "token" in line["event"]]
    assert events == ["token_unusable", "token_unusable", "token_replaced"]
    assert "first" not in str(lines)
    assert "second" not in str(lines)


async def test_a_token_for_all_to_read_opens_no_channel(tmp_path: Path) -> None:
    authority, file = Authority(tmp_path / "authority"), tmp_path / "token"
    file.write_text("secret")
    file.chmod(0o644)
    transport = Transport(TlsFiles(ca=authority.ca_file), token=TokenFile(file))

    with pytest.raises(InvalidInputError, match="token: read mode 0644"):
        transport.open_channel("localhost:1")


def test_a_setting_with_the_file_of_a_token_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    write_secret(file, b"secret\n")
    monkeypatch.setenv("UNDERSTUDY_TOKEN_FILE", str(file))
    of_file = load_settings(CommandSettings, {}).access.token
    monkeypatch.delenv("UNDERSTUDY_TOKEN_FILE")
    monkeypatch.setenv("UNDERSTUDY_TOKEN", "secret")
    fixed = load_settings(CommandSettings, {}).access.token

    assert of_file == TokenFile(file)
    assert fixed == "secret"
