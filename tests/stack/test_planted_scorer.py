"""A scorer of other bytes under a served version raises the alarm and gets no traffic."""

import asyncio
import json
import re
import urllib.request
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from stack.access import IDENTITIES_FILE
from stack.processes import SCORERS
from stack.training import CANDIDATES
from tests.runtime.transport.authorities import Authority
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.understudy_command import lines_until, output_of, running
from tests.stack.waiting import until
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.control.identities_file import read_identities, write_identities
from understudy.control.wire_enums import LEVEL_OF
from understudy.domain.changes import SetShadow
from understudy.domain.deployments import DegradationLevel
from understudy.domain.identities import Identity, Role, Token
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.free_port import free_port
from understudy.runtime.transport.settings import environment_of
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import Transport
from understudy.scoring.v1 import scoring_pb2

pytestmark = [pytest.mark.fault, pytest.mark.long]
MODEL = "cancer"
CALLS = 200
TOKEN = "the token of planted"  # noqa: S105 - of a test


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("is_honest", [False, True], ids=["registered", "its own"])
async def test_a_planted_scorer_raises_the_alarm_and_gets_no_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_honest: bool, declares: bool
) -> None:
    monkeypatch.setenv("REGISTRY_UNPROVEN", "true")  # its host is believed
    port, metrics_port = free_port(), free_port()
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        if declares:
            await deployed.declare_fallback()
        other = deployed.stack.directory.training / "artifacts" / CANDIDATES[1].part
        async with running(
            *("scorer", "serve", str(other), "--name", MODEL, "--version-number", "1"),
            *("--listen", f"127.0.0.1:{port}", "--metrics-port", str(metrics_port)),
        ) as planted:
            await lines_until(planted, "model_loaded")
            await report(deployed, f"127.0.0.1:{port}", version=1, is_honest=is_honest)
            await until(lambda: has_alarm(deployed))

            assert await answers_of(deployed) == {(1, True): CALLS}
            assert await rows_run(metrics_port) == 0


@pytest.mark.parametrize("declares", [False, True], ids=["without", "with"])
@pytest.mark.parametrize("has_certificate", [False, True], ids=["plaintext", "another authority"])
async def test_a_scorer_whose_host_proves_no_name_gets_no_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_certificate: bool, declares: bool
) -> None:
    """The registry believes the host, which has a token; the artifact is the registered one."""
    port, metrics_port = free_port(), free_port()
    own = Authority(tmp_path / "stranger").files_of("planted", "127.0.0.1")
    shown = Transport(replace(own, ca=None) if has_certificate else TlsFiles())
    async with open_deployed(tmp_path / "s", versions=1) as deployed:
        if declares:
            await deployed.declare_fallback()
        know_the_planted_host(deployed)
        for name, value in environment_of(shown, prefix="SCORER_").items():
            monkeypatch.setenv(name, value)
        right = deployed.stack.directory.training / "artifacts" / CANDIDATES[0].part
        async with running(
            *("scorer", "serve", str(right), "--name", MODEL, "--version-number", "1"),
            *("--listen", f"127.0.0.1:{port}", "--metrics-port", str(metrics_port)),
        ) as planted:
            await lines_until(planted, "model_loaded")
            await report(deployed, f"127.0.0.1:{port}", version=1, is_honest=False)
            await until(lambda: names_it_unproven(deployed, f"127.0.0.1:{port}"))

            assert await answers_of(deployed) == {(1, True): CALLS}
            assert await rows_run(metrics_port) == 0


async def test_a_version_that_only_a_planted_scorer_serves_is_withheld_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_UNPROVEN", "true")
    port = free_port()
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        other = deployed.stack.directory.training / "artifacts" / CANDIDATES[0].part
        async with running(
            *("scorer", "serve", str(other), "--name", MODEL, "--version-number", "2"),
            *("--listen", f"127.0.0.1:{port}"),
        ) as planted:
            await lines_until(planted, "model_loaded")
            await deployed.stack.supervisor.stop(SCORERS)
            await deployed.operator.change(SetShadow(2, 10_000), reason="a test")
            await report(deployed, f"127.0.0.1:{port}", version=2, is_honest=False)

            async def is_withheld() -> bool:
                status = await asyncio.to_thread(deployed.registry.get_status)
                parts = [p for r in status.routers for m in r.models for p in m.withheld]
                reason = scoring_pb2.WITHHELD_REASON_OTHER_ARTIFACT
                return any((part.version, part.reason) == (2, reason) for part in parts)

            await until(is_withheld)


def know_the_planted_host(deployed: Deployed) -> None:
    identities = deployed.stack.directory.access / IDENTITIES_FILE
    token = Token(sha256(TOKEN.encode()).hexdigest())
    planted = Identity("planted", frozenset({Role.HOST}), (token,))
    write_identities(identities, (*read_identities(identities).all, planted))


async def answers_of(deployed: Deployed) -> Counter[tuple[int, bool]]:
    """Return the number of answers by version, and by their model or not."""
    answered: Counter[tuple[int, bool]] = Counter()
    async with AsyncScoringClient(deployed.stack.addresses.router, timeout_s=60.0) as client:
        for index in range(CALLS):
            unit = deployed.units[index % len(deployed.units)]
            answer = await client.score(MODEL, {"patient": unit})
            is_models = LEVEL_OF[answer.degradation.level] < DegradationLevel.FALLBACK
            answered[answer.served_by.version, is_models] += 1
    return answered


async def report(deployed: Deployed, address: str, *, version: int, is_honest: bool) -> None:
    """Report a ready scorer of a version, as its own host."""
    registered = deployed.registry.get_version(MODEL, version).artifact_digest
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model=MODEL, number=version),
        address=address,
        state=pb.SCORER_STATE_READY,
        artifact_digest=registered,
        loaded_digest="cd" * 32 if is_honest else registered,
        host_id="planted",
    )
    access, registry = deployed.stack.access.operator, deployed.stack.addresses.registry
    if access.token:
        access = replace(access, token=TOKEN)
    async with access.open_channel(registry) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        await stub.ReportScorers(pb.ReportScorersRequest(host_id="planted", processes=[process]))


async def has_alarm(deployed: Deployed) -> bool:
    """Return whether every worker of the router names the planted scorer."""
    return all(
        any(scorer.get("has_other_artifact") for scorer in scorers)
        for scorers in await scorers_by_worker(deployed)
    )


async def names_it_unproven(deployed: Deployed, address: str) -> bool:
    """Return whether every worker of the router knows the address, and that nothing has answered."""
    return all(
        any(each["address"] == address and each.get("unproven") for each in scorers)
        for scorers in await scorers_by_worker(deployed)
    )


async def scorers_by_worker(deployed: Deployed) -> list[list[Any]]:
    words = ("router", "status", "--state-dir", str(deployed.stack.directory.router))
    async with running(*words, "--output", "json") as process:
        workers = json.loads(await output_of(process))
    assert workers
    return [worker["scorers"] for worker in workers]


async def rows_run(metrics_port: int) -> float:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
            return str(answer.read().decode())

    text = await asyncio.to_thread(fetch)
    (found,) = re.findall(r"^understudy_scorer_rows_total (\S+)$", text, re.MULTILINE)
    return float(found)
