"""The acting champion in the registry: reported by routers, kept, published."""

from pathlib import Path

from tests.registry.operator import Operator, running_registry
from understudy.control.report_wire import acting_from_wire
from understudy.domain.acting import WithheldReason
from understudy.domain.changes import DeployChampion, SetCanary
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1.scoring_pb2 import ARM_CHAMPION, WITHHELD_REASON_NOT_READY


def acting_report(
    router: str, revision: int, champion: int, declared: int
) -> pb.ReportRouterRequest:
    state = pb.RouterModelState(model="fraud", revision=revision, champion=champion)
    if champion != declared:
        state.withheld.add(arm=ARM_CHAMPION, version=declared, reason=WITHHELD_REASON_NOT_READY)
    return pb.ReportRouterRequest(router_id=router, models=[state])


async def test_an_acting_champion_is_published_runs_and_outlives_a_restart(seeded: Path) -> None:
    async with running_registry(seeded, standby_versions=0) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        await operator.stub.ReportRouter(acting_report("r", 1, 1, 1))

        await operator.change(DeployChampion(2))
        changed = await operator.seen(lambda _: True)
        await operator.stub.ReportRouter(acting_report("r", 2, 1, 2))

        snapshot = await operator.seen(lambda seen: seen.acting[0].HasField("because"))
        status = await operator.stub.GetStatus(pb.GetStatusRequest())
    async with running_registry(seeded, standby_versions=0) as channel:
        operator = Operator(channel)
        restarted = await operator.seen(lambda _: True)
        await operator.stub.ReportRouter(acting_report("r", 2, 2, 2))
        settled = await operator.seen(lambda seen: not seen.acting[0].HasField("because"))

    assert list(changed.deployments[0].standby) == [1], "hosts would stop the only one that answers"
    acting = acting_from_wire(snapshot.acting[0])
    assert (acting.version, acting.revision, acting.because) == (1, 2, WithheldReason.NOT_READY)
    assert status.acting == snapshot.acting == restarted.acting
    assert [version.ref.number for version in restarted.versions] == [1, 2]
    assert settled.acting[0].version == 2
    assert list(settled.deployments[0].standby) == []


async def test_a_router_that_lags_behind_changes_nothing(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(SetCanary(2, 100))
    await deployer.stub.ReportRouter(acting_report("r-1", 2, 1, 1))

    await deployer.stub.ReportRouter(acting_report("r-2", 1, 2, 1))
    await deployer.stub.ReportRouter(pb.ReportRouterRequest(router_id="r-1"))

    snapshot = await deployer.seen(lambda _: True)
    assert [(each.version, each.revision) for each in snapshot.acting] == [(1, 2)]
