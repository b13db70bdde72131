"""Blocks of versions: they act at once, are audited, and outlive revisions."""

import sqlite3
from pathlib import Path

import grpc

from tests.registry.operator import Operator, failure_of, running_registry
from understudy.domain.changes import DeployChampion, PolicySource, Rollback, SetCanary, SetFallback
from understudy.domain.deployments import Fallback
from understudy.registry.v1 import registry_pb2 as pb

REFUSED = grpc.StatusCode.FAILED_PRECONDITION


async def test_a_blocked_version_is_published_and_run_by_no_host(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))

    done = await deployer.set_block(1)

    snapshot = await deployer.seen(lambda _: True)
    assert done.applied
    assert list(done.deployment.blocked) == list(snapshot.deployments[0].blocked) == [1]
    assert list(snapshot.deployments[0].standby) == []
    assert [version.ref.number for version in snapshot.versions] == [2]
    audit = await deployer.audit()
    assert audit.chain_intact, audit.faults
    assert (audit.entries[-1].action, audit.entries[-1].reason) == (pb.ACTION_BLOCK, "a test")


async def test_no_change_gives_traffic_to_a_blocked_version(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))
    await deployer.set_block(1)

    for change in (DeployChampion(1), Rollback(), SetCanary(1, 100), SetFallback(Fallback(1))):
        error = await failure_of(deployer.change(change))
        assert error.code() is REFUSED
        assert "fraud@1 is blocked: a test" in str(error.details())

    await deployer.set_block(1, blocked=False)
    assert (await deployer.change(Rollback())).after.champion == 1
    audit = await deployer.audit()
    assert audit.chain_intact, audit.faults


async def test_the_last_version_that_answers_is_blocked_only_on_purpose(
    deployer: Operator,
) -> None:
    await deployer.change(DeployChampion(1, fallback_score=PolicySource.KEEP))

    error = await failure_of(deployer.set_block(1))
    planned = await deployer.set_block(1, allow_errors=True, dry_run=True)
    await deployer.change(SetFallback(Fallback(constant_score=0.5)))
    done = await deployer.set_block(1)

    assert error.code() is REFUSED
    assert "every call would fail" in str(error.details())
    assert (planned.applied, list(planned.deployment.blocked)) == (False, [1])
    assert done.applied


async def test_a_block_that_changes_nothing_is_refused(deployer: Operator) -> None:
    free = await failure_of(deployer.set_block(1, blocked=False))
    await deployer.set_block(1)
    again = await failure_of(deployer.set_block(1))
    unknown = await failure_of(deployer.set_block(9))

    assert free.code() is again.code() is REFUSED
    assert unknown.code() is grpc.StatusCode.NOT_FOUND


async def test_a_block_removed_without_the_log_is_found(seeded: Path) -> None:
    async with running_registry(seeded) as channel:
        await Operator(channel).set_block(1)
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        database.execute("DELETE FROM marks")
    database.close()

    async with running_registry(seeded) as channel:
        audit = await Operator(channel).audit()

    assert list(audit.faults) == ["block of fraud@1 is missing; row 3 of the audit log records it"]
