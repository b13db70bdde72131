"""A/A tests: the champion's own version as a challenger or as a shadow, over changes of the champion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.cli.output import deployment_parts
from registry.cli.status_output import declared_parts
from registry.decisions.combination import Combination, combined
from registry.decisions.traffic import answering_gains, gains, live_shares_bp
from tests.registry.test_changes import CHANGES, content_of, history_after
from understudy.control.wire import deployment_to_wire
from understudy.domain.changes import (
    Apply,
    Change,
    DeployChampion,
    Ended,
    Promote,
    RemoveCanary,
    RemoveShadow,
    Rollback,
    SetCanary,
    SetShadow,
    Undeploy,
)
from understudy.domain.deployments import Challenger, Deployment, Shadow
from understudy.domain.errors import RefusedError, UnderstudyError

Parts = tuple[set[int], set[int]]  # versions that are challengers, and shadows


def parts_of(deployment: Deployment) -> Parts:
    challengers = {each.version for each in deployment.challengers}
    return challengers, {each.version for each in deployment.shadows}


def named_by(change: Change, before: Parts) -> Parts:
    """Return the parts after a change that says nothing of the champion."""
    challengers, shadows = before
    match change:
        case SetCanary(version=version):
            return challengers | {version}, shadows
        case RemoveCanary(version=version):
            return challengers - {version}, shadows
        case SetShadow(version=version):
            return challengers, shadows | {version}
        case RemoveShadow(version=version):
            return challengers, shadows - {version}
        case _:
            return before


@given(st.lists(CHANGES, max_size=20))
def test_only_a_change_that_names_a_version_makes_it_challenger_or_shadow(
    changes: list[Change],
) -> None:
    """A former champion above all, whose A/A parts would take traffic beside the next one."""
    history = history_after(DeployChampion(1))
    for change in changes:
        try:
            after = history.make(change)
        except UnderstudyError:
            continue
        if isinstance(change, Apply | Undeploy | Rollback):
            continue
        before = history.revisions[-2]
        if isinstance(before, Ended):
            assert parts_of(after) == (set(), set())
            continue
        is_new = after.champion != before.champion
        gone = {before.champion, after.champion} if is_new else set()
        challengers, shadows = named_by(change, parts_of(before))
        assert parts_of(after) == (challengers - gone, shadows - gone)


def test_the_champions_version_may_be_challenger_and_shadow_until_another_champion_comes() -> None:
    history = history_after(
        DeployChampion(1), SetCanary(1, 1000), SetShadow(1, 5000), SetCanary(2, 2000)
    )
    own = history[-1]

    promoted = history.make(Promote())
    back = history.make(Rollback())

    assert own.challengers == (Challenger(1, 1000), Challenger(2, 2000))
    assert (promoted.champion, promoted.challengers, promoted.shadows) == (2, (), ())
    assert back.digest == own.digest


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Promote(), "has 0 challengers"),
        (Promote(1), "fraud@1 is the champion already"),
        (DeployChampion(1), "already in this state"),
    ],
)
def test_an_arm_of_the_champions_version_is_not_promoted(change: Change, why: str) -> None:
    history = history_after(DeployChampion(1), SetCanary(1, 1000))

    with pytest.raises(RefusedError, match=why):
        history.after(change)


def test_an_arm_of_the_champions_version_is_a_gain_of_traffic_but_not_of_answers() -> None:
    [first, own, larger] = history_after(
        DeployChampion(1), SetCanary(1, 1000), SetCanary(1, 2000)
    ).revisions

    assert gains(first, own) == gains(own, larger) == (1,)
    assert gains(own, first) == ()
    assert answering_gains(first, own) == frozenset()
    assert live_shares_bp(content_of(own)) == live_shares_bp(content_of(first)) == {1: 10_000}


def test_a_version_is_set_as_champion_and_as_its_own_shadow_at_once() -> None:
    current = history_after(DeployChampion(1), SetCanary(1, 1000), SetShadow(1, 5000))[-1]

    kept = combined(current, Combination(champion=1, canaries_bp={2: 500}))
    other = combined(current, Combination(champion=2, shadows_bp={2: 10_000}))

    assert kept.challengers == (Challenger(1, 1000), Challenger(2, 500))
    assert kept.shadows == (Shadow(1, 5000),)
    assert (other.challengers, other.shadows) == ((), (Shadow(2, 10_000),))


def test_the_output_says_which_parts_are_an_a_a_test() -> None:
    declared = deployment_to_wire(
        history_after(
            DeployChampion(1), SetCanary(1, 1000), SetCanary(2, 500), SetShadow(1, 10_000)
        )[-1]
    )

    shown = dict(deployment_parts(declared))

    assert shown["challengers"] == "@1 10% (A/A), @2 5%"
    assert shown["shadows"] == "@1 100% (A/A)"
    parts = ["champion", "challenger 10% (A/A)", "shadow 100% (A/A)"]
    assert list(declared_parts(declared, 1)) == parts
