"""The registry over real gRPC and real files."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import grpc
import pytest

from domain.deployments import Fallback, Rule, RuleOperator
from domain.versions import ScoreOutput
from registry.client import registration_parts
from registry.decisions.changes import (
    Change,
    DeployChampion,
    Promote,
    Rollback,
    SetCanary,
    SetFallback,
    SetRules,
    SetShadow,
)
from tests.registry.operator import LIMIT_S, Operator, failure_of, running_registry
from tests.registry.samples import ACTOR, new_version, record_with, trained
from understudy.v1 import registry_pb2 as pb

Status = grpc.StatusCode


async def report_of(
    operator: Operator, host_id: str, *, port: int = 9000
) -> pb.ReportScorersRequest:
    process = pb.ScorerProcess(
        ref=pb.VersionRef(model="fraud", number=1),
        address=f"127.0.0.1:{port}",
        state=pb.SCORER_STATE_READY,
        artifact_digest=(await version_1(operator)).artifact_digest,
        host_id=host_id,
    )
    return pb.ReportScorersRequest(host_id=host_id, processes=[process])


async def version_1(operator: Operator) -> pb.Version:
    ref = pb.VersionRef(model="fraud", number=1)
    return await operator.stub.GetVersion(pb.GetVersionRequest(ref=ref))


async def next_of(call: Any) -> pb.Snapshot:
    message = await call.read()
    assert isinstance(message, pb.Snapshot)
    return message


def rows_of(directory: Path, table: str) -> list[Any]:
    with sqlite3.connect(directory / "registry.sqlite") as database:
        rows = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our tables
    database.close()
    return rows


async def test_versions_are_numbered_by_the_registry(operator: Operator) -> None:
    first = (await operator.register(new_version())).version
    second = (await operator.register(new_version())).version

    assert (first.ref.number, second.ref.number) == (1, 2)
    assert first.registered_by == ACTOR
    assert list(first.feature_set) == ["patient@1:f0", "patient@1:f1", "patient@1:f2"]
    assert first.artifact_digest == second.artifact_digest


async def test_a_refused_version_leaves_nothing(operator: Operator, tmp_path: Path) -> None:
    refused = await operator.register(new_version(record_with("people.approver", ACTOR)))

    assert [finding.field for finding in refused.report.findings] == ["people.approver"]
    assert not refused.HasField("version")
    assert rows_of(tmp_path, "versions") == rows_of(tmp_path, "audit") == []
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []


async def test_a_check_registers_nothing(operator: Operator, tmp_path: Path) -> None:
    checked = await operator.check(new_version())

    assert checked.report.complete
    assert rows_of(tmp_path, "versions") == []


async def test_an_artifact_comes_back_as_it_was_sent(deployer: Operator) -> None:
    version = await version_1(deployer)

    for file in version.files:
        sent = (trained().artifact_dir / file.path).read_bytes()
        assert await deployer.fetch(file.sha256) == sent


async def test_a_corrupted_artifact_is_not_delivered(deployer: Operator, seeded: Path) -> None:
    version = await version_1(deployer)
    digest = version.files[0].sha256
    stored = seeded / "artifacts" / "sha256" / digest[:2] / digest
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")

    error = await failure_of(deployer.fetch(digest))

    assert error.code() is Status.DATA_LOSS


async def test_a_view_that_is_not_its_digest_is_refused(operator: Operator) -> None:
    first, *rest = registration_parts(new_version())
    first.registration.feature_views[0].digest = "ab" * 32
    call = operator.stub.RegisterVersion(
        iter([first, *rest]), metadata=(("understudy-actor", ACTOR),)
    )

    assert "feature_views[0]" in str((await failure_of(call)).details())


@pytest.mark.parametrize("actor", ["", "unknown", "x" * 201])
async def test_nobody_changes_anything_unnamed(operator: Operator, actor: str) -> None:
    operator._metadata = (("understudy-actor", actor),)

    changed = await failure_of(operator.change(DeployChampion(1)))
    registered_ = await failure_of(operator.register(new_version()))

    assert changed.code() is registered_.code() is Status.PERMISSION_DENIED


@pytest.mark.parametrize("reason", ["", "  ", "n/a", "x" * 2001])
async def test_a_change_needs_a_reason(operator: Operator, reason: str) -> None:
    changed = await failure_of(operator.change(DeployChampion(1), reason=reason))
    registered_ = await failure_of(operator.register(new_version(reason=reason)))

    assert changed.code() is registered_.code() is Status.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (DeployChampion(9), Status.NOT_FOUND),
        (SetShadow(9, 100), Status.NOT_FOUND),
        (SetCanary(9, 100), Status.NOT_FOUND),
        (SetFallback(Fallback(version=9)), Status.NOT_FOUND),
        (Rollback(9), Status.NOT_FOUND),
        (Promote(9), Status.FAILED_PRECONDITION),
        (SetCanary(2, 10_001), Status.INVALID_ARGUMENT),
        (DeployChampion(1), Status.FAILED_PRECONDITION),
    ],
)
async def test_an_impossible_change_changes_nothing(
    deployer: Operator, seeded: Path, change: Change, status: grpc.StatusCode
) -> None:
    await deployer.change(DeployChampion(1))
    before = rows_of(seeded, "revisions"), rows_of(seeded, "audit")

    error = await failure_of(deployer.change(change))

    assert error.code() is status
    assert (rows_of(seeded, "revisions"), rows_of(seeded, "audit")) == before


async def test_an_unknown_model_is_not_deployed(operator: Operator) -> None:
    error = await failure_of(operator.change(DeployChampion(1), model="nobody"))

    assert error.code() is Status.NOT_FOUND


async def test_a_dry_run_changes_nothing(deployer: Operator, seeded: Path) -> None:

    told = await deployer.change(DeployChampion(1), dry_run=True)
    done = await deployer.change(DeployChampion(1))

    assert (told.applied, done.applied) == (False, True)
    assert told.after.digest == done.after.digest
    assert len(rows_of(seeded, "revisions")) == 1


async def test_of_two_operators_at_once_exactly_one_wins(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    weights = range(100, 2100, 100)

    outcomes = await asyncio.gather(
        *(deployer.change(SetCanary(2, bp), expect_revision=1) for bp in weights),
        return_exceptions=True,
    )

    won = [each for each in outcomes if isinstance(each, pb.ChangeDeploymentResponse)]
    lost = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert len(won) == 1
    assert {error.code() for error in lost} == {Status.ABORTED}
    assert len(lost) == len(weights) - 1
    current = await deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud"))
    assert current.digest == won[0].after.digest


async def test_changes_without_expectation_all_apply(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))

    await asyncio.gather(*(deployer.change(SetCanary(2, bp)) for bp in range(1, 21)))

    listed = await deployer.stub.ListRevisions(pb.ListRevisionsRequest(model="fraud"))
    assert [entry.deployment.revision for entry in listed.revisions] == list(range(1, 22))


async def test_a_rollback_is_a_new_revision_equal_to_the_old_one(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    second = await deployer.change(SetCanary(2, 1000))
    third = await deployer.change(Promote())

    back = await deployer.change(Rollback())

    assert back.after.digest == second.after.digest
    assert back.after.revision == 4
    again = await deployer.change(Rollback(to_revision=3))
    assert again.after.digest == third.after.digest


async def test_a_second_rollback_does_not_bring_the_bad_champion_back(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))
    await deployer.change(Rollback())

    for dry_run in (True, False):
        again = await failure_of(deployer.change(Rollback(), dry_run=dry_run))
        assert again.code() is Status.FAILED_PRECONDITION
        assert "--to-revision: 2 (champion @2)" in str(again.details())

    named = await deployer.change(Rollback(to_revision=2))
    assert named.after.champion == 2


async def test_a_drill_is_in_the_view_of_every_model(deployer: Operator) -> None:
    await deployer.drill("L3", 30.0)

    of_fraud, of_other = [
        await deployer.stub.ListAudit(pb.ListAuditRequest(model=model))
        for model in ("fraud", "other")
    ]

    assert [entry.action for entry in of_fraud.entries] == ["register", "register", "drill"]
    assert [entry.action for entry in of_other.entries] == ["drill"]


@pytest.mark.parametrize(
    ("level", "duration_s"),
    [("L2", 0.0), ("L3", 3600.5), ("L0", 3601.0), ("L2", -1.0), ("L3", float("nan"))],
)
async def test_a_drill_of_impossible_duration_is_refused(
    deployer: Operator, seeded: Path, level: str, duration_s: float
) -> None:
    refused = await failure_of(deployer.drill(level, duration_s))

    assert refused.code() is Status.INVALID_ARGUMENT
    assert f"duration_s: read {duration_s}" in str(refused.details())
    assert len(rows_of(seeded, "audit")) == 2, "the registrations only"


@pytest.mark.parametrize(("level", "duration_s"), [("L0", 0.0), ("L0", 30.0), ("L2", 3600.0)])
async def test_a_drill_is_recorded(deployer: Operator, level: str, duration_s: float) -> None:
    recorded = await deployer.drill(level, duration_s)

    log = await deployer.audit()
    assert log.chain_intact
    assert log.entries[-1].digest == recorded.audit_digest


async def test_a_registered_model_has_a_status_before_it_is_deployed(deployer: Operator) -> None:
    status = await deployer.stub.GetStatus(pb.GetStatusRequest(model="fraud"))

    assert not status.deployments


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
        assert after == before
        assert kept == version
        assert await operator.audit() == log
        assert await operator.fetch(version.files[0].sha256)


async def test_a_watcher_sees_the_change(deployer: Operator) -> None:
    call = deployer.stub.Watch(pb.WatchRequest(watcher="test"), timeout=LIMIT_S)
    first = await next_of(call)

    await deployer.change(DeployChampion(1))
    second = await next_of(call)

    assert not first.deployments
    assert second.deployments[0].champion == 1
    assert [version.ref.number for version in second.versions] == [1]
    assert second.versions[0].provenance_json == "", "watchers need the digest only"
    assert second.sequence > first.sequence
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


async def test_a_host_that_falls_silent_leaves_the_snapshot(seeded: Path) -> None:
    async with running_registry(seeded, report_ttl_s=0.3) as channel:
        operator = Operator(channel)
        await operator.stub.ReportScorers(await report_of(operator, "host-1"))
        await operator.seen(lambda snapshot: len(snapshot.scorers) == 1)

        await operator.seen(lambda snapshot: len(snapshot.scorers) == 0)

    assert rows_of(seeded, "host_reports") == []


async def test_routers_are_seen_in_the_status(operator: Operator) -> None:
    state = pb.RouterModelState(model="fraud", revision=3, champion=1, withheld=["@2 not ready"])
    await operator.stub.ReportRouter(pb.ReportRouterRequest(router_id="r-1", models=[state]))

    status = await operator.stub.GetStatus(pb.GetStatusRequest())

    assert status.routers[0].models[0] == state
    assert status.routers[0].HasField("reported_at")


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


async def test_the_audit_log_tells_who_did_what_and_why(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1), reason="first release")

    log = await deployer.audit()

    first, _, last = log.entries
    assert (first.actor, first.action) == (ACTOR, "register")
    assert (last.actor, last.action, last.reason) == (ACTOR, "deploy", "first release")
    assert (last.from_revision, last.to_revision) == (0, 1)
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
async def test_tampering_with_the_log_or_the_revisions_is_seen(
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


@pytest.mark.parametrize("table", ["versions", "feature_views", "revisions", "audit"])
@pytest.mark.parametrize("verb", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid"])
async def test_the_database_itself_refuses_to_change_the_past(
    deployer: Operator, seeded: Path, table: str, verb: str
) -> None:
    await deployer.change(DeployChampion(1))
    database = sqlite3.connect(seeded / "registry.sqlite")

    with pytest.raises(sqlite3.IntegrityError, match="written once"):
        database.execute(verb.format(table))

    database.close()


async def test_what_is_named_must_exist(operator: Operator) -> None:
    missing = pb.VersionRef(model="fraud", number=1)
    for call in (
        operator.stub.GetVersion(pb.GetVersionRequest(ref=missing)),
        operator.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud")),
        operator.stub.ListRevisions(pb.ListRevisionsRequest(model="fraud")),
        operator.fetch("ab" * 32),
    ):
        assert (await failure_of(call)).code() is Status.NOT_FOUND


async def test_an_earlier_revision_can_be_read(deployer: Operator) -> None:
    first = await deployer.change(DeployChampion(1))
    await deployer.change(DeployChampion(2))

    read = await deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud", revision=1))
    beyond = deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud", revision=3))

    assert read == first.after
    assert (await failure_of(beyond)).code() is Status.NOT_FOUND


async def test_a_request_without_a_change_is_refused(operator: Operator) -> None:
    request = pb.ChangeDeploymentRequest(model="fraud", reason="why not")
    call = operator.stub.ChangeDeployment(request, metadata=(("understudy-actor", ACTOR),))

    assert (await failure_of(call)).code() is Status.INVALID_ARGUMENT


async def test_a_score_output_that_does_not_exist_is_a_finding(operator: Operator) -> None:
    response = await operator.register(new_version(score_output=ScoreOutput("nothing", 0)))

    assert [finding.field for finding in response.report.findings] == ["score_output"]


DEEP = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize(
    "text", [DEEP, "[]", "1", '{"name": 1}', '{"name": "v", "features": [[]]}', ""]
)
async def test_a_view_that_cannot_be_read_is_the_callers_fault(
    operator: Operator, text: str
) -> None:
    asked = pb.Registration(
        model="fraud", feature_views=[pb.FeatureViewDefinition(canonical_json=text)], reason="why"
    )
    call = operator.stub.CheckVersion(
        iter([pb.RegisterVersionRequest(registration=asked)]),
        metadata=(("understudy-actor", ACTOR),),
    )

    error = await failure_of(call)

    assert error.code() is Status.INVALID_ARGUMENT
    assert "feature_views[0]" in str(error.details())


async def test_a_revision_beyond_all_numbers_does_not_exist(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    greatest = (1 << 64) - 1

    read = deployer.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud", revision=greatest))
    back = deployer.change(Rollback(to_revision=greatest))

    assert (await failure_of(read)).code() is Status.NOT_FOUND
    assert (await failure_of(back)).code() is Status.NOT_FOUND


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_a_rule_without_a_finite_number_is_refused(deployer: Operator, number: float) -> None:
    await deployer.change(DeployChampion(1))
    rule = Rule("big", "amount", RuleOperator.GREATER, number, "deny", number)

    error = await failure_of(deployer.change(SetRules((rule,))))

    assert error.code() is Status.INVALID_ARGUMENT
    assert "rules[0].value" in str(error.details())
    assert "rules[0].score" in str(error.details())


@pytest.mark.parametrize("reason", ["why\x1b[2J", "why\x00", "why\u202enot", "why\rnot"])
async def test_a_reason_cannot_steer_a_terminal(deployer: Operator, reason: str) -> None:
    error = await failure_of(deployer.change(DeployChampion(1), reason=reason))

    assert error.code() is Status.INVALID_ARGUMENT
    await deployer.change(DeployChampion(1), reason="two\nlines of Zürich")
