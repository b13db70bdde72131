"""Scrapes over real HTTP: their content, their thread, and a port in use."""

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from router.edge.metrics import RouterCollector
from tests.router.command_line import run_router
from tests.router.samples import MODEL, deployment, spec
from tests.router.world import World, open_world, two_arms
from understudy.control.belief import Belief
from understudy.control.wire import snapshot_to_wire
from understudy.domain.deployments import Challenger
from understudy.domain.errors import UnavailableError
from understudy.domain.snapshots import Snapshot
from understudy.features.stores import open_writer
from understudy.runtime.exit_codes import UNAVAILABLE
from understudy.runtime.free_port import free_port
from understudy.runtime.metrics_endpoint import serve_metrics

pytestmark = pytest.mark.stopped_clock
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
        return text


async def scraped(collector: Collector) -> Samples:
    """Serve `collector` and return the result of one scrape, by name and labels."""
    port = free_port()
    close = serve_metrics("127.0.0.1", port, collector)

    try:
        text = await asyncio.to_thread(scrape, port)
    finally:
        await asyncio.to_thread(close)
    return {
        (sample.name.removeprefix("understudy_router_"), tuple(sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def collector_of(world: World) -> RouterCollector:
    return RouterCollector(world.pipeline, lambda: {"retried": 2}, lambda: ["it is gone"], Belief())


async def test_a_scrape_shows_answered_rows_and_the_live_state() -> None:
    async with open_world() as world:
        await two_arms(world, challengers=())
        for index in range(5):
            await world.score(f"u{index}")
        await world.score("nobody")

        found = await scraped(collector_of(world))

    of_model = ("model", MODEL)
    answered = (("arm", "champion"), ("level", "L0"), of_model, ("version", "1"))
    assert found["rows_total", answered] == 5
    assert found["degraded_rows_total", (of_model, ("reason", "features_defaulted"))] == 1
    assert found["latency_seconds_count", ()] == 6
    assert found["latency_seconds_bucket", (("le", "+Inf"),)] == 6
    assert found["store_events_total", (("event", "retried"),)] == 2
    assert found["revision", (of_model,)] == 1
    assert found["withheld_bp", (of_model,)] == 0
    assert found["scorer_breaker_open", (("address", "one"), of_model, ("version", "1"))] == 0
    hop = (("address", "one"), ("hop", "grpc"), of_model, ("version", "1"))
    assert found["scorer_hop", hop] == 1


async def test_a_scrape_shows_the_share_that_an_unready_challenger_lacks() -> None:
    async with open_world() as world:
        await world.deploy(
            deployment(challengers=(Challenger(2, 3_000), Challenger(3, 1_500))),
            ready={1: ["one"], 3: ["three"]},
            specs=[spec(1), spec(2), spec(3)],
        )

        found = await scraped(collector_of(world))

    assert found["withheld_bp", (("model", MODEL),)] == 3_000
    assert found["withheld_parts", (("model", MODEL),)] == 1


@pytest.mark.parametrize(
    ("ready", "acting", "because"),
    [
        ({1: ["one"], 3: ["three"]}, "1", ""),
        ({3: ["three"]}, "3", "not_ready"),
        ({}, "none", "not_ready"),
    ],
)
async def test_a_scrape_names_the_acting_champion_and_why_it_is_not_the_declared_one(
    ready: dict[int, list[str]], acting: str, because: str
) -> None:
    async with open_world() as world:
        await world.deploy(deployment(standby=(3,)), ready=ready, specs=[spec(1), spec(3)])

        found = await scraped(collector_of(world))

    shown = (("acting", acting), ("because", because), ("declared", "1"), ("model", MODEL))
    champions = {labels for name, labels in found if name == "acting_champion"}
    assert champions == {shown}


async def test_a_scrape_shows_that_the_registry_is_refused() -> None:
    belief = Belief()
    belief.take(snapshot_to_wire(Snapshot("ours", 1)))
    async with open_world() as world:
        collector = RouterCollector(world.pipeline, dict, list, belief)
        before = await scraped(collector)
        belief.take(snapshot_to_wire(Snapshot("theirs", 2)))

        after = await scraped(collector)

    reason = (("reason", "another_lineage"),)
    assert (before["registry_refused", reason], after["registry_refused", reason]) == (0, 1)
    assert after["refused_snapshots_total", ()] == 1


class ThreadTeller(Collector):
    """Reports the thread in which it was read."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("thread", "Its id", value=threading.get_ident())


async def test_counters_are_read_in_the_thread_that_changes_them() -> None:
    found = await scraped(ThreadTeller())

    assert found["thread", ()] == pytest.approx(threading.get_ident(), rel=0)


async def test_a_metrics_port_in_use_is_unavailable() -> None:
    with taken_port() as port, pytest.raises(UnavailableError, match=f"127.0.0.1:{port}"):
        serve_metrics("127.0.0.1", port, ThreadTeller())


@pytest.mark.parametrize(
    "command", [("serve",), ("worker", "--index", "0", "--listen", "x:1", "--front", "grpc")]
)
def test_a_router_whose_metrics_port_is_in_use_does_not_start(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    open_writer(f"lmdb:{tmp_path / 'features.lmdb'}").close_now()
    with taken_port() as port:
        ended = run_router(
            *command,
            environment={
                "ROUTER_METRICS_PORT": str(port),
                "ROUTER_LISTEN": "127.0.0.1:0",
                "ROUTER_STATE_DIR": str(tmp_path),
                "ROUTER_LOG_DIR": str(tmp_path / "logs"),
                "ROUTER_LOG_IDS": "unkeyed",
                "ROUTER_FEATURES": f"lmdb:{tmp_path / 'features.lmdb'}",
            },
        )

    assert ended.returncode == UNAVAILABLE
    assert f"127.0.0.1:{port}" in ended.stdout
    assert "not_started" in ended.stdout
    assert "Traceback" not in ended.stderr
