"""The registry's metrics, over real HTTP."""

import asyncio
import re
import urllib.request
from pathlib import Path

import pytest
from pydantic import ValidationError

from registry.settings import RegistrySettings
from tests.registry.operator import Operator, failure_of, running_server
from tests.registry.webhook_receiver import WebhookReceiver, receiving
from understudy.domain.changes import DeployChampion, Rollback
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.free_port import free_port

PAGE = Path(__file__).parents[2] / "docs/reference/registry.md"
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def scraped(port: int) -> dict[str, float]:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            text: str = answer.read().decode()
            return text

    text = await asyncio.to_thread(fetch)
    found = re.findall(r"^(understudy_registry_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def test_metrics_show_the_state_failed_calls_and_deliveries_and_are_all_documented(
    seeded: Path,
) -> None:
    port, receiver = free_port(), WebhookReceiver()
    async with receiving(receiver):
        given = {"webhook_url": f"http://127.0.0.1:{receiver.port}", "webhook_key": KEY}
        async with running_server(seeded, metrics_port=port, **given) as (opened, channel):
            operator = Operator(channel)
            await operator.change(DeployChampion(1))
            await failure_of(operator.change(Rollback()))
            await operator.stub.ReportScorers(pb.ReportScorersRequest(host_id="a"))
            assert opened.webhooks is not None
            await opened.webhooks.deliver()
            await opened.database_review.review()
            watch = operator.stub.Watch(pb.WatchRequest(watcher="w"))
            await watch.read()
            found = await scraped(port)
            watch.cancel()

    named = "understudy_registry_"
    assert found[f"{named}deployments"] == found[f"{named}watches"] == 1
    assert found[f'{named}scorer_hosts{{news="reporting"}}'] == 1
    assert found[f'{named}scorer_hosts{{news="silent"}}'] == 0
    assert found[f'{named}failed_calls_total{{call="ChangeDeployment",kind="refused"}}'] == 1
    assert (found[f"{named}audit_rows"], found[f"{named}database_faults"]) == (3, 0)
    assert found[f"{named}webhooks_delivered_total"] == 1
    assert found[f"{named}webhook_failures"] == 0
    names = {name.partition("{")[0] for name in found}
    documented = {*re.findall(r"understudy_registry_\w+", PAGE.read_text().split("## Metrics")[1])}
    assert names == documented


def test_an_address_of_metrics_without_a_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="metrics_ip has no effect"):
        RegistrySettings(unproven=True, dir=tmp_path, metrics_ip="127.0.0.2")
