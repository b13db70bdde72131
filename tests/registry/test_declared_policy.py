"""Threshold and fallback score that a record declares act, or the change says otherwise."""

from typing import Any

import pytest

from registry.decisions.changes import apply_change
from registry.decisions.declared_policy import DeclaredPolicy
from registry.decisions.request_contract import ModelVersions
from tests.registry.commands import REASON, command, json_of
from understudy.control.change_wire import change_from_wire, change_to_wire
from understudy.domain.changes import (
    Apply,
    Change,
    DeployChampion,
    PolicyChoice,
    PolicySource,
    Promote,
    Revision,
    Rollback,
    SetCanary,
    SetFallback,
    SetThreshold,
    Undeploy,
)
from understudy.domain.deployments import Deployment, Fallback
from understudy.domain.errors import RefusedError
from understudy.domain.request_contract import VersionNeeds
from understudy.registry.v1 import registry_pb2 as pb
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

KEEP, RECORD = PolicySource.KEEP, PolicySource.RECORD
VERSIONS = ModelVersions(
    dict.fromkeys((1, 2, 3, 4), VersionNeeds()),
    policies={
        1: DeclaredPolicy(0.5, 0.1),
        2: DeclaredPolicy(0.4, 0.2),
        3: DeclaredPolicy(),  # both waived
        4: DeclaredPolicy(0.0, 0.0),
    },
)


def after(*changes: Change) -> Deployment:
    past: list[Revision] = []
    for change in changes:
        current = past[-1] if past else None
        earlier = past[-2] if len(past) > 1 else None
        past.append(
            apply_change(
                current, change, earlier=earlier, model="m", versions=VERSIONS, first_salt="s"
            )
        )
    last = past[-1]
    assert isinstance(last, Deployment)
    return last


def policy_of(deployment: Deployment) -> tuple[float | None, float | None]:
    return deployment.decision_threshold, deployment.fallback.constant_score


@pytest.mark.parametrize(
    ("first", "policy"),
    [
        (DeployChampion(1), (0.5, 0.1)),
        (DeployChampion(3), (None, None)),
        (DeployChampion(4), (0.0, 0.0)),
        (DeployChampion(1, KEEP, KEEP), (None, None)),
        (DeployChampion(1, 0.7, RECORD), (0.7, 0.1)),
        (DeployChampion(1, RECORD, 0.0), (0.5, 0.0)),
        (Apply(1), (None, None)),  # it declares all parts itself
    ],
)
def test_a_first_champion_brings_the_policy_of_its_record_unless_told_otherwise(
    first: Change, policy: tuple[float | None, float | None]
) -> None:
    assert policy_of(after(first)) == policy


def test_a_deployment_that_begins_again_takes_the_policy_of_its_champion() -> None:
    assert policy_of(after(DeployChampion(1), Undeploy(), DeployChampion(2))) == (0.4, 0.2)


@pytest.mark.parametrize("verb", [Promote, DeployChampion])
def test_a_champion_of_another_threshold_needs_a_choice(verb: type[Promote]) -> None:
    before = (DeployChampion(1), SetCanary(2, 100))

    with pytest.raises(RefusedError, match=r"declares the threshold 0.4.* has the threshold 0.5"):
        after(*before, verb(2))

    assert policy_of(after(*before, verb(2, KEEP))) == (0.5, 0.1)
    assert policy_of(after(*before, verb(2, RECORD))) == (0.4, 0.1)
    assert policy_of(after(*before, verb(2, 0.45))) == (0.45, 0.1)
    assert policy_of(after(*before, SetThreshold(0.4), verb(2))) == (0.4, 0.1)


def test_a_record_without_a_threshold_leaves_that_of_the_deployment() -> None:
    assert policy_of(after(DeployChampion(1), DeployChampion(3))) == (0.5, 0.1)
    with pytest.raises(RefusedError, match="the record of m@3 declares no threshold"):
        after(DeployChampion(1), DeployChampion(3, RECORD))


def test_a_deployment_without_a_threshold_is_another_than_that_of_the_record() -> None:
    with pytest.raises(RefusedError, match="has no threshold"):
        after(DeployChampion(3), DeployChampion(1))


def test_other_changes_leave_the_policy_and_a_rollback_returns_to_it() -> None:
    changed = (DeployChampion(1), SetThreshold(0.9), SetFallback(Fallback(version=2)))

    assert policy_of(after(*changed, SetCanary(2, 100))) == (0.9, None)
    assert policy_of(after(DeployChampion(1), DeployChampion(2, RECORD), Rollback())) == (0.5, 0.1)
    with pytest.raises(RefusedError, match="already in this state"):
        after(*changed, DeployChampion(1))


@pytest.mark.parametrize("choice", [None, KEEP, RECORD, 0.0, -1.5])
def test_choices_come_over_the_wire_as_they_were_made(choice: PolicyChoice | None) -> None:
    changes = (
        DeployChampion(1, choice, None),
        DeployChampion(1, None, choice),
        Promote(None, choice),
    )
    for change in changes:
        name, message = change_to_wire(change)
        parts: dict[str, Any] = {name: message}
        request = pb.ChangeDeploymentRequest(**parts)
        assert change_from_wire(request) == change


def test_the_commands_take_a_choice(registry: str) -> None:
    first = json_of("deploy", "fraud@1", *REASON)["after"]
    command("threshold", "fraud", "--value", "0.7", *REASON)
    command("canary", "fraud@2", "--weight", "1%", *REASON)

    refused = command("promote", "fraud", *REASON)
    wrong = command("promote", "fraud", "--threshold", "nan", *REASON)
    kept = command("promote", "fraud", "--threshold", "keep", *REASON)
    [now] = json_of("status")["deployments"]

    assert (first["decision_threshold"], first["fallback"]["constant_score"]) == (0.5, 0.5)
    assert (refused.exit_code, wrong.exit_code, kept.exit_code) == (REFUSED, USAGE, OK)
    assert "choose threshold: keep (that of the deployment), record, or a number" in refused.stderr
    assert (now["champion"], now["decision_threshold"]) == (2, 0.7)
