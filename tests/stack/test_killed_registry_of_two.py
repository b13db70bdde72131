"""A router and a scorer host that follow two registries over one PostgreSQL, one of which is killed.

docs/reference/faults.md has the counts of one run.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.processes import ROUTER, SCORERS
from stack.traffic import open_traffic
from tests.registry.commands import end, start
from tests.registry.operator import LIMIT_S
from tests.registry.postgresql import running_server
from tests.registry.samples import ACTOR, VIEW, new_version
from tests.stack.waiting import until
from understudy.control.client import RegistryClient
from understudy.domain.changes import DeployChampion, SetThreshold
from understudy.features.decisions.record_format import pack_record, record_format
from understudy.features.stores import open_writer
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import OK
from understudy.runtime.free_port import free_port
from understudy.runtime.supervision.supervisor import ProcessSpec, Supervisor

pytestmark = [pytest.mark.fault, pytest.mark.long]
PATIENTS = tuple(f"p{number}" for number in range(20))
CALLS = 100
PATIENT_S = 120.0


def load_patients(url: str) -> None:
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    packed = pack_record(
        record_format(VIEW), {"f0": 1.0, "f1": 0.5, "f2": 0.0}, event_time_ms=now_ms
    )
    writer = open_writer(url)
    writer.write(VIEW, [(patient, packed) for patient in PATIENTS], mark=None)
    writer.close_now()


@asynccontextmanager
async def watchers(root: Path, registry: str) -> AsyncIterator[str]:
    """Run a scorer host and a router that follow `registry`; yield the router's address."""
    features = f"lmdb:{root / 'features.lmdb'}"
    load_patients(features)
    host, router = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    async with Supervisor(root / "process-logs") as supervisor:
        scoring = (
            *("-m", "scorer", "host", "--registry", registry),
            *("--dir", str(root / "host"), "--listen", host),
        )
        await supervisor.start(ProcessSpec(SCORERS, scoring, host, {"SCORER_HOST_HOST_ID": "h-1"}))
        routing = (
            *("-m", "router", "serve", "--listen", router, "--registry", registry),
            *("--features", features, "--log-dir", str(root / "logs")),
            *("--state-dir", str(root / "router")),
        )
        limits = ("DEFAULT_DEADLINE_S", "LARGEST_DEADLINE_S", "SCORER_TIMEOUT_S")
        environment = {f"ROUTER_{name}": str(PATIENT_S) for name in limits}
        await supervisor.start(
            ProcessSpec(ROUTER, routing, router, {"ROUTER_LOG_IDS": "unkeyed", **environment})
        )
        yield router


def in_effect(client: RegistryClient, revision: int) -> bool:
    """Return whether the router and the host have the revision, and have told this registry."""
    status = client.get_status("fraud")
    routers = [model.revision for each in status.routers for model in each.models]
    ready = [each for each in status.scorers if each.state == pb.SCORER_STATE_READY]
    return routers == [revision] and [each.host_id for each in ready] == ["h-1"]


async def test_routers_and_hosts_move_to_the_other_registry_and_no_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server() as server:
        monkeypatch.setenv("REGISTRY_STORE", server.new_database().conninfo)
        (killed, first), (kept, second) = (start(tmp_path / "registry") for _ in range(2))
        with RegistryClient(second, actor=ACTOR) as client:
            assert client.register(new_version()).report.complete
            client.change("fraud", DeployChampion(1), reason="a test")

            async def has(revision: int) -> bool:
                return in_effect(client, revision)

            async with watchers(tmp_path, f"{first},{second}") as router:
                await until(lambda: has(1))
                async with open_traffic(
                    router,
                    model="fraud",
                    entity="patient",
                    units=PATIENTS,
                    rate_per_s=30,
                    timeout_s=PATIENT_S,
                ) as traffic:
                    await traffic.until_ended(CALLS)

                    os.kill(killed.pid, signal.SIGKILL)
                    client.change("fraud", SetThreshold(0.25), reason="after the kill")

                    await until(lambda: has(2))
                    await traffic.until_ended(traffic.ended + CALLS)

        print(f"{len(traffic.failures)} of {traffic.ended}")  # noqa: T201 - the counts
        assert traffic.failures == []
        assert {call.version for call in traffic.calls} == {1}
        assert killed.wait(LIMIT_S) == -signal.SIGKILL
        assert end(kept) == OK
