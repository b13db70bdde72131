"""Versions end: they are retired, their artifacts collected, and said to be collected afterwards."""

import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from sqlalchemy import Connection, event

from registry.collect_artifacts import Collector
from registry.store.artifacts import ArtifactStore
from registry.store.database import open_database
from tests.registry.collection_maker import everything
from tests.registry.commands import REASON, command, json_of
from tests.registry.operator import Operator, failure_of, rows_of, running_registry
from tests.registry.samples import new_version, trained
from understudy.domain.changes import DeployChampion, RemoveShadow, Rollback, SetShadow, Undeploy
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

Status = grpc.StatusCode
OTHER_SEED = 8


def ref_of(number: int) -> pb.VersionRef:
    return pb.VersionRef(model="fraud", number=number)


@pytest.fixture
async def three(seeded: Path) -> AsyncIterator[Operator]:
    """Yield a client of a registry in which fraud@3 has files of its own; 1 and 2 share theirs."""
    async with running_registry(seeded) as channel:
        operator = Operator(channel)
        await register_third(operator)
        yield operator


async def register_third(operator: Operator) -> pb.RegisterVersionResponse:
    sample = trained(OTHER_SEED)
    response = await operator.register(new_version(sample.record, artifact_dir=sample.artifact_dir))
    assert response.report.complete, response.report
    return response


def numbers(refs: Iterable[pb.VersionRef]) -> list[int]:
    return [each.number for each in refs]


async def version(operator: Operator, number: int) -> pb.Version:
    return (await operator.stub.GetVersion(pb.GetVersionRequest(ref=ref_of(number)))).version


async def test_a_retired_version_gets_no_part_until_it_is_reinstated(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))

    planned = await deployer.retire(1, dry_run=True)
    done = await deployer.retire(1)

    assert (planned.applied, done.applied) == (False, True)
    assert list(planned.rollbacks) == list(done.rollbacks) == [1]
    snapshot = await deployer.seen(lambda _: True)
    assert list(snapshot.deployments[0].standby) == []
    for change in (DeployChampion(1), SetShadow(1, 100), Rollback()):
        error = await failure_of(deployer.change(change))
        assert error.code() is Status.FAILED_PRECONDITION
        assert "fraud@1 was retired at" in str(error.details())
        assert "by ada@lab: a test" in str(error.details())
    listed = await deployer.stub.ListRollbackTargets(pb.ListRollbackTargetsRequest(model="fraud"))
    assert "was retired" in listed.targets[0].faults[0]

    await deployer.retire(1, retired=False)
    assert (await deployer.change(Rollback())).after.champion == 1
    audit = await deployer.audit()
    assert audit.chain_intact, audit.faults


@pytest.mark.parametrize("part", ["champion", "shadow"])
async def test_a_version_with_a_part_is_not_retired(deployer: Operator, part: str) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(SetShadow(2, 100))

    error = await failure_of(deployer.retire(1 if part == "champion" else 2))
    unknown = await failure_of(deployer.retire(9))
    free = await failure_of(deployer.retire(1, retired=False))

    assert (error.code(), unknown.code()) == (Status.FAILED_PRECONDITION, Status.NOT_FOUND)
    assert "takes a part in revision 2" in str(error.details())
    assert "is not retired" in str(free.details())


@pytest.mark.fault
async def test_nothing_that_is_needed_is_collected(three: Operator) -> None:
    await three.change(DeployChampion(1))
    await three.change(SetShadow(3, 100))
    acting = await three.collect(dry_run=True)
    await three.change(RemoveShadow(3))
    target = await three.collect(keep_revisions=1, dry_run=True)
    recent = await three.collect(keep_revisions=3, dry_run=True)

    assert {each.ref.number: each.why for each in acting.kept} == {
        1: "revision 2 is in effect",
        3: "revision 2 is in effect",
    }
    assert {e.ref.number: e.why for e in target.kept}[3] == "revision 2 is a rollback target"
    assert {e.ref.number: e.why for e in recent.kept}[3] == "revision 2 is one of the last 3"
    # Version 2 is needed by nothing; its files are those of version 1 too.
    for plan in (acting, target, recent):
        assert (numbers(plan.versions), plan.files, plan.size_bytes) == ([2], 0, 0)


async def test_a_collected_artifact_is_called_collected_and_not_missing(
    three: Operator, seeded: Path
) -> None:
    await three.change(DeployChampion(3))
    await three.change(DeployChampion(1))
    await three.retire(3)
    before = ArtifactStore(seeded / "artifacts").stored()

    planned = await three.collect(dry_run=True, least_age_days=1)
    stale = await failure_of(three.collect(expect_plan="another", least_age_days=1))
    done = await three.collect(expect_plan=planned.plan, least_age_days=1)

    after = ArtifactStore(seeded / "artifacts").stored()
    assert (numbers(planned.versions), planned.applied) == ([3], False)
    assert (stale.code(), numbers(done.versions)) == (Status.ABORTED, [3])
    gone = before.keys() - after.keys()
    assert (done.files, done.size_bytes) == (len(gone), sum(before[each] for each in gone))
    verified = await three.stub.VerifyRegistry(pb.VerifyRegistryRequest())
    assert (list(verified.faults), numbers(verified.collected)) == ([], [3])
    marked = (await version(three, 3)).collected
    assert (marked.actor, marked.reason) == ("ada@lab", "a test")
    listed = await three.stub.ListRollbackTargets(pb.ListRollbackTargetsRequest(model="fraud"))
    assert "was retired" in listed.targets[0].faults[0]
    await three.retire(3, retired=False)
    error = await failure_of(three.change(Rollback()))
    assert "has no artifact any more: it was collected at" in str(error.details())
    check = await three.stub.RecheckVersion(pb.RecheckVersionRequest(ref=ref_of(3)))
    assert "collected at" in check.report.findings[0].read


async def test_a_second_registration_brings_a_collected_artifact_back(three: Operator) -> None:
    await three.change(DeployChampion(1))
    await three.retire(3)
    await three.collect()

    again = await register_third(three)

    assert (again.already_registered, again.recovered, again.version.ref.number) == (True, True, 3)
    assert not (await version(three, 3)).HasField("collected")
    verified = await three.stub.VerifyRegistry(pb.VerifyRegistryRequest())
    assert (list(verified.faults), verified.collected_count) == ([], 0)
    entries = (await three.audit()).entries
    assert [each.action for each in entries[-2:]] == [pb.ACTION_COLLECT, pb.ACTION_RECOVER]


@pytest.mark.fault
async def test_files_that_an_interrupted_collection_left_are_removed_by_the_next(
    three: Operator, seeded: Path
) -> None:
    await three.change(DeployChampion(1))
    await three.retire(3)
    objects = ArtifactStore(seeded / "artifacts")
    before = objects.stored()
    await three.collect()
    for digest in before.keys() - objects.stored().keys():  # as if the process had ended before
        left = seeded / "artifacts" / "sha256" / digest[:2] / digest
        left.write_bytes(b"left")
    (seeded / "artifacts" / "sha256" / "ab").mkdir(exist_ok=True)
    (seeded / "artifacts" / "sha256" / "ab" / ("ab" * 32)).write_bytes(b"of a refused registration")

    done = await three.collect()

    assert (numbers(done.versions), done.unnamed_files) == ([], 1)
    assert objects.stored().keys() < before.keys()
    verified = await three.stub.VerifyRegistry(pb.VerifyRegistryRequest())
    assert list(verified.faults) == []


@pytest.mark.fault
def test_a_collection_that_cannot_be_logged_removes_nothing(seeded: Path) -> None:
    engine = open_database(seeded / "registry.sqlite")
    artifacts = ArtifactStore(seeded / "artifacts")
    before = artifacts.stored()

    def refuse(_connection: Connection) -> None:
        raise RuntimeError("the disk is full")

    event.listen(engine, "commit", refuse)
    with pytest.raises(RuntimeError):
        Collector(engine, artifacts, lambda: datetime.now(UTC)).collect(everything(1))
    engine.dispose()

    assert artifacts.stored() == before
    assert rows_of(seeded, "marks") == []


def test_a_collection_is_bound_to_a_plan_that_was_seen(registry: str) -> None:
    assert registry
    ended = command("gc", *REASON)
    planned = json_of("gc", "--dry-run", "--least-age-days", "0", *REASON)
    done = command("gc", "--least-age-days", "0", "--plan", planned["plan"], *REASON)
    retired = command("retire", "fraud@1", *REASON)
    shown = json_of("show", "fraud@2")
    copied = command("download", "fraud@2", "--to", "unused")
    verified = command("verify", "fraud@2")

    assert ended.exit_code == USAGE
    assert "--plan: read" in ended.stderr
    assert (done.exit_code, retired.exit_code) == (OK, OK)
    assert [each["number"] for each in planned["versions"]] == [1, 2]
    assert f"removed {planned['files']} files of {planned['size_bytes']} bytes" in done.stdout
    assert shown["collected"]["reason"] == "a test"
    assert copied.exit_code == REFUSED
    assert "the artifact of fraud@2 was collected by ada@lab: a test" in copied.stderr
    assert "collected, not verified: the artifacts of 1 versions: fraud@2" in verified.stdout
    assert "retired, collected" in command("list").stdout
    assert json.loads(command("audit", "list", "--verify", "--output", "json").stdout)[
        "chain_intact"
    ]


async def test_an_ended_deployment_keeps_its_rollback_targets(three: Operator) -> None:
    await three.change(DeployChampion(3))
    await three.change(Undeploy())

    plan = await three.collect(dry_run=True)

    assert 3 not in numbers(plan.versions)
