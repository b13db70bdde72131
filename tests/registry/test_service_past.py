"""The registry's record of the past, which cannot be changed."""

import sqlite3
from pathlib import Path

import grpc
import pytest

from tests.registry.operator import Operator, failure_of, report_of, running_registry, version_1
from tests.registry.samples import ACTOR
from understudy.domain.changes import DeployChampion, Rollback, SetCanary
from understudy.domain.deployments import DegradationLevel as Level
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode


@pytest.mark.parametrize(
    ("level", "duration_s"), [(Level.FULL, 0.0), (Level.FULL, 30.0), (Level.FALLBACK, 3600.0)]
)
async def test_a_drill_is_recorded(deployer: Operator, level: Level, duration_s: float) -> None:
    recorded = await deployer.drill(level, duration_s)

    log = await deployer.audit()
    assert log.chain_intact
    assert log.entries[-1].digest == recorded.audit_digest


async def test_a_restart_keeps_everything(seeded: Path) -> None:
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        version = await version_1(operator)
        await operator.change(DeployChampion(1))
        await operator.change(SetCanary(2, 500))
        await operator.stub.ReportScorers(await report_of(operator, "host-1"))
        before = await operator.seen(lambda snapshot: len(snapshot.scorers) == 1)
        log = await operator.audit()

    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        after = await operator.seen(lambda _: True)
        kept = await operator.stub.GetVersion(pb.GetVersionRequest(ref=version.ref))

        assert after.sequence > before.sequence
        after.sequence = before.sequence
        assert list(after.epochs[: len(before.epochs)]) == list(before.epochs)
        del after.epochs[len(before.epochs) :]
        assert after == before
        assert kept.version == version
        assert await operator.audit() == log
        assert await operator.fetch(version.files[0].sha256)


async def test_the_audit_log_shows_who_did_what_and_why(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1), reason="first release")

    log = await deployer.audit()

    first, _, last = log.entries
    assert (first.actor, first.action) == (ACTOR, pb.ACTION_REGISTER)
    assert (last.actor, last.action, last.reason) == (ACTOR, pb.ACTION_DEPLOY, "first release")
    assert (last.HasField("from_revision"), last.to_revision) == (False, 1)
    assert log.chain_intact


@pytest.mark.fault
@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET reason = 'nothing to see' WHERE sequence = 1",
        "DELETE FROM audit WHERE sequence = 1",
        "DELETE FROM audit WHERE sequence = 2",
        "DELETE FROM audit",
        "UPDATE revisions SET content_json = replace(content_json, '\"champion\":1', '\"champion\":2')",
        "DELETE FROM revisions",
    ],
)
async def test_tampering_with_the_log_or_the_revisions_is_detected(
    deployer: Operator, seeded: Path, tampering: str
) -> None:
    await deployer.change(DeployChampion(1))
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        for name in (
            "audit_no_update",
            "audit_no_delete",
            "revisions_no_update",
            "revisions_no_delete",
        ):
            database.execute(f"DROP TRIGGER {name}")
        database.execute(tampering)
    database.close()

    log = await deployer.audit()

    assert not log.chain_intact


@pytest.mark.parametrize(
    "table", ["versions", "feature_views", "revisions", "audit", "lineage", "epochs"]
)
@pytest.mark.parametrize("verb", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid"])
async def test_the_database_itself_refuses_to_change_the_past(
    deployer: Operator, seeded: Path, table: str, verb: str
) -> None:
    await deployer.change(DeployChampion(1))
    database = sqlite3.connect(seeded / "registry.sqlite")

    with pytest.raises(sqlite3.IntegrityError, match="written once"):
        database.execute(verb.format(table))

    database.close()


async def test_an_earlier_revision_can_be_read(deployer: Operator) -> None:
    first = await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))

    read = await deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud", revision=1))
    beyond = deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud", revision=3))

    assert read.deployment == first.after
    assert (await failure_of(beyond)).code() is Status.NOT_FOUND


async def test_no_rollback_leads_beyond_the_largest_number(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))

    back = deployer.change(Rollback(to_revision=(1 << 64) - 1))

    assert (await failure_of(back)).code() is Status.NOT_FOUND
