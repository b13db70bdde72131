"""The commands of the page on certificates and tokens, word for word, against a registry with both."""

import asyncio
import re
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from typer.testing import CliRunner

from registry.app import open_registry
from registry.settings import RegistrySettings
from stack.__main__ import app
from understudy.runtime.exit_codes import NOT_PERMITTED, OK
from understudy.runtime.health import Health
from understudy.runtime.settings import load_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "certificates-and-tokens.md"
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
SERVE = ("understudy", "registry", "serve")


def lines() -> Iterator[list[str]]:
    for block in BLOCK.findall(PAGE.read_text()):
        for line in block.strip().splitlines():
            yield shlex.split(line)


@asynccontextmanager
async def served(overrides: Mapping[str, Any]) -> AsyncIterator[int]:
    settings = load_settings(RegistrySettings, {**overrides, "listen": "127.0.0.1:0"})
    async with open_registry(settings) as opened:
        await opened.server.start()
        opened.health.turn(Health.SERVING)
        try:
            yield opened.port
        finally:
            opened.watchers.close()
            await opened.server.stop(None)


async def call(*words: str) -> int:
    """Run a command in this process; return its exit code."""
    done = await asyncio.to_thread(CliRunner().invoke, app, words, prog_name="understudy")
    return done.exit_code


@pytest.mark.skipif(which("openssl") is None, reason="no openssl here")
async def test_the_page_issues_rotates_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    port = 0
    async with AsyncExitStack() as resources:
        for words in lines():
            if words[0] == "export":
                for name, _, value in (each.partition("=") for each in words[1:]):
                    monkeypatch.setenv(name, value)
            elif words[0] == "openssl":
                await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)
            elif tuple(words[:3]) == SERVE:
                port = await resources.enter_async_context(served({"dir": Path("registry")}))
            else:
                here = [each.replace("localhost:8500", f"localhost:{port}") for each in words]
                assert await call(*here[1:]) == OK, words

        status = ("registry", "status", "--registry", f"localhost:{port}")
        monkeypatch.setenv("UNDERSTUDY_TOKEN_FILE", "ann-token")
        old = await call(*status)
        monkeypatch.setenv("UNDERSTUDY_TOKEN_FILE", "vera-token")
        removed = await call(*status)

    assert old == OK, "the old token is good for 24 hours"
    assert removed == NOT_PERMITTED
