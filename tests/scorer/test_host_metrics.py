"""The metrics of the scorer host itself."""

import asyncio
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from scorer.host.host_app import host
from scorer.settings import HostSettings
from tests.scorer.fake_registry import FakeRegistry
from tests.stack.waiting import until
from understudy.runtime.free_port import free_port

REFUSED = 'understudy_scorer_host_registry_refused{reason="another_lineage"} 1.0'


async def test_a_host_that_refuses_its_registry_says_so_in_its_metrics(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    port = free_port()
    settings = HostSettings(registry=registry.address, dir=tmp_path / "host", metrics_port=port)
    running = asyncio.ensure_future(host(settings))

    def scrape() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:  # the host has not bound it yet
            return ""

    async def believes() -> bool:
        return (tmp_path / "host" / "last-snapshot").exists()

    async def refuses() -> bool:
        return REFUSED in await asyncio.to_thread(scrape)

    await until(believes)
    assert not await refuses()

    registry.snapshot.lineage = "another"
    await registry.publish([], [])

    await until(refuses)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def test_ports_of_the_host_and_of_its_scorers_are_apart() -> None:
    with pytest.raises(ValueError, match="metrics_port is 9100 and must be below"):
        HostSettings(dir=Path("d"), metrics_port=9_100, first_metrics_port=9_100)
    with pytest.raises(ValueError, match="metrics_ip has no effect without metrics_port"):
        HostSettings(dir=Path("d"), metrics_ip="127.0.0.2")
