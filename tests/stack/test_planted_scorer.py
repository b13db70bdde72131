"""A scorer of other bytes under a served version raises the alarm and gets no traffic."""

import asyncio
import json
import re
import urllib.request
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from registry.server.identities_file import read_identities, write_identities
from stack.access import IDENTITIES_FILE
from stack.processes import SCORERS
from stack.training import CANDIDATES
from tests.stack.deployed import Deployed, open_deployed
from tests.stack.understudy_command import lines_until, output_of, running
from tests.stack.waiting import until
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.domain.changes import SetShadow
from understudy.domain.identities import Identity, Role, Token
from understudy.registry.v1 import registry_pb2 as pb
from understudy.registry.v1 import registry_pb2_grpc
from understudy.runtime.free_port import free_port
from understudy.scoring.v1 import scoring_pb2

pytestmark = [pytest.mark.fault, pytest.mark.long]
MODEL = "cancer"
CALLS = 200
TOKEN = "the token of planted"  # noqa: S105 - of a test


@pytest.mark.parametrize("is_honest", [False, True])
async def test_a_planted_scorer_raises_the_alarm_and_gets_no_traffic(
    tmp_path: Path, *, is_honest: bool
) -> None:
    port, metrics_port = free_port(), free_port()
    async with open_deployed(tmp_path / "s", versions=2) as deployed:
        other = deployed.stack.directory.training / "artifacts" / CANDIDATES[1].part
        async with running(
            *("scorer", "serve", str(other), "--name", MODEL, "--version-number", "1"),
            *("--listen", f"127.0.0.1:{port}", "--metrics-port", str(metrics_port)),
        ) as planted:
            await lines_until(planted, "model_loaded")
            await report(deployed, f"127.0.0.1:{port}", version=1, is_honest=is_honest)
            await until(lambda: has_alarm(deployed))

            answered: Counter[int] = Counter()
            async with AsyncScoringClient(
                deployed.stack.addresses.router, timeout_s=60.0
            ) as client:
                for index in range(CALLS):
                    unit = deployed.units[index % len(deployed.units)]
                    answer = await client.score(MODEL, {"patient": unit})
                    answered[answer.served_by.version] += 1

            assert answered == {1: CALLS}
            assert await rows_run(metrics_port) == 0


async def test_a_version_that_only_a_planted_scorer_serves_is_withheld_for_that(
    tmp_path: Path,
) -> None:
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


async def report(deployed: Deployed, address: str, *, version: int, is_honest: bool) -> None:
    """Report a ready scorer of a version, as a host of its own that the registry knows."""
    registered = deployed.registry.get_version(MODEL, version).artifact_digest
    identities = deployed.stack.directory.access / IDENTITIES_FILE
    planted = Identity(
        "planted", frozenset({Role.HOST}), (Token(sha256(TOKEN.encode()).hexdigest()),)
    )
    write_identities(identities, (*read_identities(identities).all, planted))
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model=MODEL, number=version),
        address=address,
        state=pb.SCORER_STATE_READY,
        artifact_digest=registered,
        loaded_digest="cd" * 32 if is_honest else registered,
        host_id="planted",
    )
    access, registry = deployed.stack.access.operator, deployed.stack.addresses.registry
    async with replace(access, token=TOKEN).open_channel(registry) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        await stub.ReportScorers(pb.ReportScorersRequest(host_id="planted", processes=[process]))


async def has_alarm(deployed: Deployed) -> bool:
    """Return whether every worker of the router names the planted scorer."""
    words = ("router", "status", "--state-dir", str(deployed.stack.directory.router))
    async with running(*words, "--output", "json") as process:
        workers = json.loads(await output_of(process))
    named = [
        any(scorer.get("has_other_artifact") for scorer in worker["scorers"]) for worker in workers
    ]
    return bool(named) and all(named)


async def rows_run(metrics_port: int) -> float:
    def fetch() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as answer:
            return str(answer.read().decode())

    text = await asyncio.to_thread(fetch)
    (found,) = re.findall(r"^understudy_scorer_rows_total (\S+)$", text, re.MULTILINE)
    return float(found)
