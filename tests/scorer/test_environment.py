"""The settings and the environment of scorers under a host."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from scorer.host.host_app import host
from scorer.host.launch import Launcher, LaunchOptions
from scorer.settings import HostSettings
from tests.scorer.fake_registry import FakeRegistry
from tests.scorer.test_host import REFUSED, deployment
from tests.stack.waiting import until
from understudy.control import wire
from understudy.domain.versions import VersionRef
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.probe import Probe, ProbeAnswer
from understudy.runtime.transport.transport import LOCAL

pytestmark = pytest.mark.fault
LIMIT_S = 60.0


async def test_a_scorer_inherits_settings_of_scorers_and_no_secrets(
    registry: FakeRegistry, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "ROUTER_LOG_KEY", "SCORER_HOST_DIR", "SCORER_LISTEN"):
        monkeypatch.setenv(name, "mine alone")
    monkeypatch.setenv("SCORER_GATHER_MS", "0.5")
    version = wire.version_from_wire(registry.version(VersionRef("doubler", 1), artifact))
    options = LaunchOptions(f"unix:{tmp_path / 's.sock'}", None, 1.0, None, LOCAL)

    child = await Launcher("one", version, tmp_path, options).start(artifact)
    try:
        environment = psutil.Process(child.pid).environ()
    finally:
        await child.kill()

    assert environment["SCORER_GATHER_MS"] == "0.5"
    assert environment["PATH"] == os.environ["PATH"]
    assert "mine alone" not in environment.values()


async def test_a_host_whose_scorers_refuse_their_settings_is_not_serving_and_says_why(
    registry: FakeRegistry, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`understudy scorer host` refuses such settings at once; here they come after its check."""
    monkeypatch.setenv("SCORER_STRANGER", "1")
    await registry.publish([registry.version(VersionRef("doubler", 1), artifact)], [deployment(1)])
    listen = f"127.0.0.1:{free_port()}"
    settings = HostSettings(registry=registry.address, dir=tmp_path / "host", listen=listen)
    running = asyncio.ensure_future(host(settings))

    (refused,) = await registry.until_reported(lambda ps: [p.state for p in ps] == [REFUSED])

    async def is_not_serving() -> bool:
        return await Probe(listen).ask(LIMIT_S) is ProbeAnswer.NOT_SERVING

    await until(is_not_serving)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert "SCORER_STRANGER: read an unknown setting" in refused.last_error
    assert refused.restarts == 0
