"""The preflight of a change: a version that cannot act gets no part."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.preflight import targets
from registry.decisions.traffic import gains
from tests.registry.operator import Operator, failure_of, report_of, rows_of, version_1
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Promote,
    RemoveCanary,
    Rollback,
    SetCanary,
    SetFallback,
    SetHostLabels,
    SetShadow,
    SetThreshold,
)
from understudy.domain.deployments import Challenger, Deployment, Fallback, Shadow
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode
Damage = Callable[[Path], None]


def remove(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-1])


def exchange_a_byte(file: Path) -> None:
    file.chmod(0o600)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGES = [
    (remove, "is missing from the artifact store"),
    (truncate, "bytes, registered were"),
    (exchange_a_byte, "reads as sha256"),
]


async def files_of(operator: Operator, directory: Path, number: int) -> list[Path]:
    ref = pb.VersionRef(model="fraud", number=number)
    version = (await operator.stub.GetVersion(pb.GetVersionRequest(ref=ref))).version
    objects = directory / "artifacts" / "sha256"
    return [objects / file.sha256[:2] / file.sha256 for file in version.files]


async def targets_of(operator: Operator) -> list[pb.RollbackTarget]:
    request = pb.ListRollbackTargetsRequest(model="fraud")
    return list((await operator.stub.ListRollbackTargets(request)).targets)


CHANGES: list[Change] = [
    DeployChampion(1),
    SetShadow(1, 100),
    SetCanary(1, 100),
    SetFallback(Fallback(1)),
]


async def test_a_damaged_artifact_gets_no_part(deployer: Operator, seeded: Path) -> None:
    # Both versions have the same files: the champion was deployed before they were damaged.
    await deployer.change(DeployChampion(2))
    before = rows_of(seeded, "revisions"), rows_of(seeded, "audit")
    exchange_a_byte((await files_of(deployer, seeded, 1))[0])

    refusals = [
        await failure_of(deployer.change(change, dry_run=dry_run))
        for change in CHANGES
        for dry_run in (True, False)
    ]

    for refused in refusals:
        assert refused.code() is Status.FAILED_PRECONDITION
        assert "fraud@1: " in str(refused.details())
        assert "reads as sha256" in str(refused.details())
    assert (rows_of(seeded, "revisions"), rows_of(seeded, "audit")) == before


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
async def test_a_rollback_to_a_damaged_artifact_is_refused_and_listed(
    deployer: Operator, seeded: Path, damage: Damage, says: str
) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))
    assert [(each.is_default, list(each.faults)) for each in await targets_of(deployer)] == [
        (True, [])
    ]
    damage((await files_of(deployer, seeded, 1))[0])

    refused = await failure_of(deployer.change(Rollback()))
    [target] = await targets_of(deployer)

    assert refused.code() is Status.FAILED_PRECONDITION
    assert says in str(refused.details())
    assert says in target.faults[0]
    assert (target.revision.deployment.revision, target.is_default) == (1, True)
    current = await deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud"))
    assert (current.deployment.revision, current.deployment.champion) == (2, 2)


async def test_a_canary_ends_although_the_artifact_of_the_champion_is_lost(
    deployer: Operator, seeded: Path
) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(SetCanary(2, 5000))
    for file in await files_of(deployer, seeded, 1):
        file.unlink()

    await deployer.change(SetCanary(2, 100))
    ended = await deployer.change(RemoveCanary(2))

    assert not ended.after.challengers


@pytest.mark.parametrize("state", [pb.SCORER_STATE_REFUSED, pb.SCORER_STATE_FAILING])
async def test_a_version_that_no_scorer_can_load_gets_no_part(
    deployer: Operator, state: pb.ScorerState.ValueType
) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))
    report = await report_of(deployer, "h-1")
    report.processes[0].state = state
    report.processes[0].last_error = "no kernel for the operator"
    await deployer.stub.ReportScorers(report)

    refused = await failure_of(deployer.change(Rollback()))
    ready = await report_of(deployer, "h-2", port=9001)
    await deployer.stub.ReportScorers(ready)
    back = await deployer.change(Rollback())

    assert refused.code() is Status.FAILED_PRECONDITION
    assert "its scorer on h-1" in str(refused.details())
    assert "no kernel for the operator" in str(refused.details())
    assert back.after.champion == 1


async def test_a_version_whose_view_is_lost_gets_no_part(deployer: Operator, seeded: Path) -> None:
    await deployer.change(DeployChampion(1))
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        database.execute("DROP TRIGGER feature_views_no_delete")
        database.execute("DELETE FROM feature_views")
    database.close()

    refused = await failure_of(deployer.change(DeployChampion(2)))

    assert refused.code() is Status.DATA_LOSS
    assert "reads the view patient@1, which is not stored" in str(refused.details())


async def test_an_artifact_is_loaded_once_by_each_version_of_onnx_runtime(
    deployer: Operator, seeded: Path
) -> None:
    def recorded() -> list[tuple[str, str]]:
        return rows_of(seeded, "loads")

    digest = (await version_1(deployer)).artifact_digest
    [(_, installed)] = recorded()
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        database.execute("UPDATE loads SET onnxruntime = '0.1'")  # as before an upgrade
    database.close()

    await deployer.change(DeployChampion(1))

    assert sorted(recorded()) == [(digest, "0.1"), (digest, installed)]


async def test_an_artifact_that_does_not_replay_its_golden_vectors_is_refused(
    deployer: Operator, seeded: Path
) -> None:
    with sqlite3.connect(seeded / "registry.sqlite") as database:
        database.execute("DELETE FROM loads")
        database.execute("DROP TRIGGER versions_no_update")
        database.execute("UPDATE versions SET golden_tolerance = -1")
    database.close()

    refused = await failure_of(deployer.change(DeployChampion(1)))

    assert "golden vectors differ by" in str(refused.details())
    assert rows_of(seeded, "loads") == []


async def test_after_a_rollback_no_target_is_the_default(deployer: Operator) -> None:
    for change in (DeployChampion(1), SetCanary(2, 100), Promote(), Rollback()):
        await deployer.change(change)

    listed = [
        (each.revision.deployment.revision, each.is_default) for each in await targets_of(deployer)
    ]

    assert listed == [(3, False), (1, False)]


async def test_an_unknown_deployment_has_no_targets(operator: Operator) -> None:
    assert (await failure_of(targets_of(operator))).code() is Status.NOT_FOUND


numbers = st.integers(1, 4)
shares = st.lists(st.tuples(numbers, st.integers(1, 4000)), max_size=2, unique_by=lambda s: s[0])


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    champion = draw(numbers)
    live = [(n, bp) for n, bp in draw(shares) if n != champion]
    taken = {champion, *(number for number, _ in live)}
    return Deployment(
        model="fraud",
        revision=1,
        champion=champion,
        salt="s",
        challengers=tuple(Challenger(*each) for each in live),
        shadows=tuple(Shadow(n, bp, False) for n, bp in draw(shares) if n not in taken),
        fallback=Fallback(draw(st.none() | numbers)),
    )


@given(before=deployments(), after=deployments())
def test_who_gains_traffic_is_checked_unless_it_stays_champion(
    before: Deployment, after: Deployment
) -> None:
    stays = {after.champion} if before.champion == after.champion else set()

    assert set(gains(before, after)) - stays <= targets(before, after)


@given(deployment=deployments())
def test_a_part_that_does_not_grow_needs_no_check(deployment: Deployment) -> None:
    assert targets(deployment, deployment) == frozenset()


async def test_a_model_that_no_host_may_run_gets_no_part_and_is_named(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    report = await report_of(deployer, "host-a")
    report.placement.models.append("credit")
    await deployer.stub.ReportScorers(report)

    refused = await failure_of(deployer.change(SetShadow(2, 100)))
    status = await deployer.stub.GetStatus(pb.GetStatusRequest(model="fraud"))
    await deployer.change(SetThreshold(0.4))

    assert refused.code() is Status.FAILED_PRECONDITION
    why = "no host runs fraud: host-a runs only credit"
    assert why in str(refused.details())
    assert list(status.unplaced) == [why]
    assert list(status.hosts[0].placement.models) == ["credit"]


async def test_labels_that_no_host_has_are_refused_and_others_go_to_watchers(
    deployer: Operator,
) -> None:
    await deployer.change(DeployChampion(1))
    report = await report_of(deployer, "host-a")
    report.placement.labels.extend(["eu", "gpu"])
    await deployer.stub.ReportScorers(report)

    refused = await failure_of(deployer.change(SetHostLabels(("gpu", "large"))))
    await deployer.change(SetHostLabels(("gpu", "eu")))
    seen = await deployer.seen(lambda snapshot: bool(snapshot.deployments[0].host_labels))
    await deployer.change(Rollback())
    undone = await deployer.seen(lambda snapshot: not snapshot.deployments[0].host_labels)

    assert "asks for gpu, large: host-a lacks large; its labels: eu, gpu" in str(refused.details())
    assert list(seen.deployments[0].host_labels) == ["eu", "gpu"], "in order, for one digest"
    assert list(seen.hosts[0].placement.labels) == ["eu", "gpu"]
    assert undone.deployments[0].champion == 1


async def test_a_report_with_an_odd_placement_is_refused(deployer: Operator) -> None:
    report = await report_of(deployer, "host-a")
    report.placement.labels.append("a label")

    refused = await failure_of(deployer.stub.ReportScorers(report))

    assert refused.code() is Status.INVALID_ARGUMENT
    assert "placement.labels[0]" in str(refused.details())
