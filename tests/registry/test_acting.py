"""The acting champion in the registry: reported by routers, kept, published."""

import re
from pathlib import Path

from registry.cli.status_output import parts_of
from tests.registry.operator import Operator, running_registry
from understudy.control.report_wire import acting_from_wire
from understudy.control.wire_values import timestamp
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


def test_the_status_says_which_version_acts_and_why() -> None:
    """With the last error of the declared champion's scorer."""
    status = pb.GetStatusResponse(
        deployments=[pb.Deployment(model="fraud", champion=1, standby=[3])],
        acting=[
            pb.ActingChampion(
                model="fraud", version=3, because=WITHHELD_REASON_NOT_READY, since=timestamp(0)
            )
        ],
        scorers=[
            pb.ScorerProcess(ref=pb.VersionRef(model="fraud", number=1), last_error="no memory")
        ],
    )

    declared, acting = (
        parts_of(pb.VersionRef(model="fraud", number=number), status) for number in (1, 3)
    )

    assert declared == ["champion"]
    assert acting[0] == "standby"
    assert re.fullmatch(
        r"acts as champion: @3 since 1970-01-01 .*, because @1 is not ready: no memory", acting[1]
    )
