"""Changes of deployments over real gRPC: identity, refusals, rollbacks."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.registry.operator import (
    Operator,
    failure_of,
    rows_of,
)
from tests.registry.samples import ACTOR, new_version
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Promote,
    RemoveCanary,
    RemoveShadow,
    Rollback,
    SetCanary,
    SetFallback,
    SetRules,
    SetShadow,
)
from understudy.domain.deployments import DegradationLevel as Level
from understudy.domain.deployments import Fallback, Rule, RuleOperator
from understudy.registry.v1 import registry_pb2 as pb

Status = grpc.StatusCode


@pytest.mark.parametrize("actor", ["", "unknown", "x" * 201])
async def test_a_change_without_an_actor_is_refused(operator: Operator, actor: str) -> None:
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
        (Promote(0), Status.FAILED_PRECONDITION),
        (Rollback(0), Status.NOT_FOUND),
        (SetFallback(Fallback(version=0)), Status.NOT_FOUND),
        (SetFallback(Fallback(last_score_max_age_s=0.0)), Status.INVALID_ARGUMENT),
        (SetCanary(2, 0), Status.INVALID_ARGUMENT),
        (SetShadow(2, 0), Status.INVALID_ARGUMENT),
        (RemoveCanary(2), Status.FAILED_PRECONDITION),
        (RemoveShadow(2), Status.FAILED_PRECONDITION),
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
    assert current.deployment.digest == won[0].after.digest


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
    await deployer.drill(Level.CONSTANT, 30.0)

    of_fraud, of_other = [
        await deployer.stub.ListAudit(pb.ListAuditRequest(model=model))
        for model in ("fraud", "other")
    ]

    registered, drilled = pb.ACTION_REGISTER, pb.ACTION_DRILL
    assert [entry.action for entry in of_fraud.entries] == [registered, registered, drilled]
    assert [entry.action for entry in of_other.entries] == [drilled]
    assert not of_other.entries[0].HasField("model")


@pytest.mark.parametrize(
    ("level", "duration_s"),
    [
        (Level.FALLBACK, 0.0),
        (Level.CONSTANT, 3600.5),
        (Level.FULL, 3601.0),
        (Level.FALLBACK, -1.0),
        (Level.CONSTANT, float("nan")),
    ],
)
async def test_a_drill_of_impossible_duration_is_refused(
    deployer: Operator, seeded: Path, level: Level, duration_s: float
) -> None:
    refused = await failure_of(deployer.drill(level, duration_s))

    assert refused.code() is Status.INVALID_ARGUMENT
    assert f"duration_s: read {duration_s}" in str(refused.details())
    assert len(rows_of(seeded, "audit")) == 2, "the registrations only"


async def test_named_objects_must_exist(operator: Operator) -> None:
    missing = pb.VersionRef(model="fraud", number=1)
    for call in (
        operator.stub.GetVersion(pb.GetVersionRequest(ref=missing)),
        operator.stub.GetDeployment(pb.GetDeploymentRequest(model="fraud")),
        operator.stub.ListRevisions(pb.ListRevisionsRequest(model="fraud")),
        operator.fetch("ab" * 32),
    ):
        assert (await failure_of(call)).code() is Status.NOT_FOUND


async def test_a_request_without_a_change_is_refused(operator: Operator) -> None:
    request = pb.ChangeDeploymentRequest(model="fraud", reason="why not")
    call = operator.stub.ChangeDeployment(request, metadata=(("understudy-actor", ACTOR),))

    assert (await failure_of(call)).code() is Status.INVALID_ARGUMENT


async def test_a_rule_without_an_operator_is_refused_by_its_field(deployer: Operator) -> None:
    await deployer.change(DeployChampion(1))
    request = pb.ChangeDeploymentRequest(
        model="fraud", reason="a test", set_rules=pb.SetRules(rules=[pb.Rule(name="big")])
    )
    call = deployer.stub.ChangeDeployment(request, metadata=(("understudy-actor", ACTOR),))

    error = await failure_of(call)

    assert error.code() is Status.INVALID_ARGUMENT
    assert str(error.details()).startswith("rules[0].operator: read 0; accepted: GREATER")


@pytest.mark.parametrize(
    "call",
    [
        lambda stub: stub.ListVersions(pb.ListVersionsRequest(model="")),
        lambda stub: stub.ListAudit(pb.ListAuditRequest(model="")),
        lambda stub: stub.GetStatus(pb.GetStatusRequest(model="")),
    ],
)
async def test_a_model_that_is_set_to_nothing_is_refused(
    operator: Operator, call: Callable[[Any], Any]
) -> None:
    error = await failure_of(call(operator.stub))

    assert error.code() is Status.INVALID_ARGUMENT
    assert str(error.details()).startswith("model: read ''")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_a_rule_without_a_finite_number_is_refused(deployer: Operator, number: float) -> None:
    await deployer.change(DeployChampion(1))
    rule = Rule("big", "amount", RuleOperator.GREATER, number, "deny", number)

    error = await failure_of(deployer.change(SetRules((rule,))))

    assert error.code() is Status.INVALID_ARGUMENT
    assert "rules[0].value" in str(error.details())
    assert "rules[0].score" in str(error.details())


@pytest.mark.parametrize("reason", ["why\x1b[2J", "why\x00", "why\u202enot", "why\rnot"])
async def test_a_reason_cannot_control_a_terminal(deployer: Operator, reason: str) -> None:
    error = await failure_of(deployer.change(DeployChampion(1), reason=reason))

    assert error.code() is Status.INVALID_ARGUMENT
    await deployer.change(DeployChampion(1), reason="two\nlines of Zürich")
