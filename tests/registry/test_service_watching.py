"""The registry as seen by watchers and the status command, over real gRPC."""

from collections import Counter
from pathlib import Path
from typing import Any

import grpc
from structlog.testing import capture_logs

from tests.registry.operator import (
    LIMIT_S,
    Operator,
    failure_of,
    report_of,
    rows_of,
    running_registry,
)
from tests.registry.samples import ACTOR
from tests.stack.waiting import until
from understudy.control.identity import ACTOR_KEY
from understudy.domain.changes import DeployChampion
from understudy.registry.v1 import registry_pb2 as pb
from understudy.scoring.v1.scoring_pb2 import ARM_CHALLENGER, WITHHELD_REASON_NOT_READY

Status = grpc.StatusCode
SILENT = pb.NEWS_SILENT


async def next_of(call: Any) -> pb.Snapshot:
    message = await call.read()
    assert isinstance(message, pb.WatchResponse)
    return message.snapshot


async def test_a_registered_model_has_a_status_before_it_is_deployed(deployer: Operator) -> None:
    status = await deployer.stub.GetStatus(pb.GetStatusRequest(model="fraud"))

    assert not status.deployments


async def test_a_watcher_sees_the_change(deployer: Operator) -> None:
    call = deployer.stub.Watch(pb.WatchRequest(watcher="test"), timeout=LIMIT_S)
    first = await next_of(call)

    await deployer.change(DeployChampion(1))
    second = await next_of(call)

    assert not first.deployments
    assert second.deployments[0].champion == 1
    assert [version.ref.number for version in second.versions] == [1]
    assert not second.versions[0].HasField("provenance_json"), "watchers need the digest only"
    assert second.sequence > first.sequence
    assert second.lineage == first.lineage != ""
    call.cancel()


async def test_the_last_champion_stays_in_the_snapshot_for_a_rollback(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))

    await deployer.change(DeployChampion(2))

    snapshot = await deployer.seen(lambda _: True)
    assert list(snapshot.deployments[0].standby) == [1]
    assert [version.ref.number for version in snapshot.versions] == [1, 2]


async def test_a_report_reaches_watchers_and_status(deployer: Operator) -> None:
    operator = deployer
    call = operator.stub.Watch(pb.WatchRequest(watcher="test"), timeout=LIMIT_S)
    await next_of(call)

    await operator.stub.ReportScorers(await report_of(operator, "host-1"))
    reported = await next_of(call)
    await operator.stub.ReportScorers(await report_of(operator, "host-1", port=9001))
    replaced = await next_of(call)

    assert [process.address for process in reported.scorers] == ["127.0.0.1:9000"]
    assert [process.address for process in replaced.scorers] == ["127.0.0.1:9001"]
    status = await operator.stub.GetStatus(pb.GetStatusRequest(model="fraud"))
    assert len(status.scorers) == 1
    other = operator.stub.GetStatus(pb.GetStatusRequest(model="other"))
    assert (await failure_of(other)).code() is Status.NOT_FOUND
    call.cancel()


async def test_a_host_that_falls_silent_keeps_its_scorers_and_is_named(seeded: Path) -> None:
    async with running_registry(seeded, silent_after_s=0.3) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        await operator.stub.ReportScorers(await report_of(operator, "host-1"))

        snapshot = await operator.seen(lambda seen: [h.news for h in seen.hosts] == [SILENT])

        assert [each.host_id for each in snapshot.scorers] == ["host-1"]
        status = await operator.stub.GetStatus(pb.GetStatusRequest())
        assert [each.host_id for each in status.scorers] == ["host-1"]
        assert status.hosts == snapshot.hosts
        assert status.hosts[0].HasField("silent_since")

    async with running_registry(seeded) as channel:
        restarted = await Operator(channel).seen(lambda _: True)

    assert restarted.scorers == snapshot.scorers


async def test_a_host_that_is_gone_is_taken_out_by_an_audited_act(seeded: Path) -> None:
    metadata = ((ACTOR_KEY, ACTOR),)
    request = pb.ForgetHostRequest(host_id="host-1", reason="its machine is scrapped")
    async with running_registry(seeded, silent_after_s=0.3) as channel:
        operator = Operator(channel)
        await operator.change(DeployChampion(1))
        unknown = await failure_of(operator.stub.ForgetHost(request, metadata=metadata))
        await operator.stub.ReportScorers(await report_of(operator, "host-1"))
        reports = await failure_of(operator.stub.ForgetHost(request, metadata=metadata))
        await operator.seen(lambda seen: [h.news for h in seen.hosts] == [SILENT])

        done = await operator.stub.ForgetHost(request, metadata=metadata)

        snapshot = await operator.seen(lambda seen: not seen.scorers)
        audit = await operator.audit()
    assert unknown.code() is Status.NOT_FOUND
    assert reports.code() is Status.FAILED_PRECONDITION
    assert (done.applied, [each.host_id for each in done.scorers]) == (True, ["host-1"])
    assert [host.host_id for host in snapshot.hosts] == ["host-1"], "routers need to know"
    assert audit.chain_intact, audit.faults
    assert audit.entries[-1].action == pb.ACTION_FORGET_HOST


async def test_a_silent_host_is_forgotten_when_no_deployment_needs_it(seeded: Path) -> None:
    async def is_deleted() -> bool:
        return rows_of(seeded, "host_reports") == []

    with capture_logs() as lines:
        async with running_registry(seeded, silent_after_s=0.3) as channel:
            operator = Operator(channel)
            await operator.stub.ReportScorers(await report_of(operator, "host-1"))

            await operator.seen(lambda snapshot: not snapshot.hosts)
            await until(is_deleted)

    forgotten = [
        line["hosts"] for line in lines if line["event"] == "silent_scorer_hosts_forgotten"
    ]
    assert forgotten == [("host-1",)]


async def test_a_host_that_stops_says_so_and_leaves_the_snapshot(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.stub.ReportScorers(await report_of(deployer, "host-1"))

    await deployer.stub.ReportScorers(pb.ReportScorersRequest(host_id="host-1"))

    snapshot = await deployer.seen(lambda _: True)
    assert not snapshot.scorers
    assert [host.host_id for host in snapshot.hosts] == ["host-1"], "watchers need to know"


async def test_routers_are_seen_in_the_status(operator: Operator) -> None:
    part = pb.WithheldPart(
        arm=ARM_CHALLENGER, version=2, declared_bp=500, reason=WITHHELD_REASON_NOT_READY
    )
    lost = pb.UnservableVersion(version=4, why="it reads no feature")
    state = pb.RouterModelState(
        model="fraud", revision=3, champion=1, withheld=[part], unservable=[lost]
    )
    await operator.stub.ReportRouter(pb.ReportRouterRequest(router_id="r-1", models=[state]))

    status = await operator.stub.GetStatus(pb.GetStatusRequest())

    assert status.routers[0].models[0] == state
    assert status.routers[0].HasField("reported_at")


def refusing(why: str = "it is empty") -> pb.WatcherBelief:
    refusal = pb.SnapshotRefusal(
        reason=pb.REFUSAL_REASON_ANOTHER_LINEAGE, lineage="theirs", why=why
    )
    return pb.WatcherBelief(lineage="ours", refusal=refusal)


async def test_watchers_that_refuse_are_seen_in_the_status(operator: Operator) -> None:
    await operator.stub.ReportRouter(pb.ReportRouterRequest(router_id="r-1", belief=refusing()))
    await operator.stub.ReportScorers(pb.ReportScorersRequest(host_id="h-1", belief=refusing()))

    status = await operator.stub.GetStatus(pb.GetStatusRequest())

    assert [(each.router_id, each.belief) for each in status.routers] == [("r-1", refusing())]
    assert [(each.host_id, each.belief) for each in status.host_beliefs] == [("h-1", refusing())]


async def test_a_refusal_is_logged_when_it_begins_and_ends(operator: Operator) -> None:
    accepting = pb.WatcherBelief(lineage="ours")
    beliefs = [refusing(), refusing("it is still empty"), accepting, accepting]

    with capture_logs() as logs:
        for belief in beliefs:
            await operator.stub.ReportRouter(pb.ReportRouterRequest(router_id="r", belief=belief))
            await operator.stub.ReportScorers(pb.ReportScorersRequest(host_id="h", belief=belief))

    told = Counter(each["event"] for each in logs if each.get("watcher") in {"r", "h"})
    assert told == {"watcher_refuses": 2, "watcher_accepts_again": 2}


async def test_an_odd_belief_is_refused_with_all_its_faults(operator: Operator) -> None:
    refusal = pb.SnapshotRefusal(lineage="x" * 201)
    odd = pb.WatcherBelief(lineage="", refusal=refusal)

    router = await failure_of(
        operator.stub.ReportRouter(pb.ReportRouterRequest(router_id="r", belief=odd))
    )
    odd.refusal.reason = pb.REFUSAL_REASON_ANOTHER_LINEAGE
    host = await failure_of(
        operator.stub.ReportScorers(pb.ReportScorersRequest(host_id="h", belief=odd))
    )

    assert router.code() is host.code() is Status.INVALID_ARGUMENT
    assert "belief.refusal.reason" in str(router.details())
    assert "belief.lineage" in str(host.details())
    assert "belief.refusal.lineage" in str(host.details())


async def test_a_report_without_a_name_is_refused(operator: Operator) -> None:
    host = await failure_of(operator.stub.ReportScorers(pb.ReportScorersRequest()))
    router = await failure_of(operator.stub.ReportRouter(pb.ReportRouterRequest()))

    assert host.code() is router.code() is Status.INVALID_ARGUMENT


async def test_watchers_are_bounded(tmp_path: Path) -> None:
    async with running_registry(tmp_path, max_watchers=1) as channel:
        operator = Operator(channel)
        first = operator.stub.Watch(pb.WatchRequest(watcher="a"), timeout=LIMIT_S)
        await next_of(first)

        error = await failure_of(operator.seen(lambda _: True))

        assert error.code() is Status.RESOURCE_EXHAUSTED
        first.cancel()
