"""Each claim of the demo is refuted by the fact that contradicts it, and by no other."""

from dataclasses import replace

import pytest

from router.decisions.assignment import Assigner, split_of
from stack.decisions.demo_checks import ArmCount, Call, Facts, LoggedRow, count_by_arm, judge
from understudy.domain.deployments import Arm, Challenger, Deployment, Shadow
from understudy.logs.ledger import MirrorLedger

UNITS = [str(number) for number in range(40)]
_CANARY = (Challenger(2, 2_500),)
_SHADOWS = (Shadow(3, 10_000),)
DEPLOYMENTS = {
    1: Deployment("cancer", 1, champion=1, salt="s"),
    2: Deployment("cancer", 2, champion=1, salt="s", shadows=_SHADOWS),
    3: Deployment("cancer", 3, champion=1, salt="s", challengers=_CANARY, shadows=_SHADOWS),
    4: Deployment("cancer", 4, champion=2, salt="s", shadows=_SHADOWS),
    5: Deployment("cancer", 5, champion=1, salt="s", challengers=_CANARY, shadows=_SHADOWS),
}


def a_call(revision: int, unit: str) -> Call:
    assigner = Assigner(split_of(DEPLOYMENTS[revision]))
    seat = assigner.split.arms[assigner.assign(unit)]
    return Call(
        request_id=f"{revision}-{unit}",
        unit=unit,
        revision=revision,
        version=seat.version,
        arm=seat.arm,
        level=0,
        score=float(unit) / 100,
        latency_s=0.01,
        may_be_withheld=False,
    )


def logged(call: Call) -> LoggedRow:
    return LoggedRow(call.request_id, call.revision, call.version, call.arm, call.level, call.score)


def good_facts() -> Facts:
    calls = [a_call(revision, unit) for revision in (2, 3, 4, 5) for unit in UNITS]
    mirrored = sum(bool(DEPLOYMENTS[call.revision].shadows) for call in calls)
    return Facts(
        calls=calls,
        failures=[],
        deployments=DEPLOYMENTS,
        router_rows=count_by_arm(calls),
        ledger=MirrorLedger(offered=mirrored, ok=mirrored),
        logged=[logged(call) for call in calls],
        shadow_rows={"ok": mirrored},
        outcomes_sent=len(calls),
        outcome_rows=len(calls),
        audit_intact=True,
        gate_refused=True,
    )


def broken_claims(facts: Facts) -> set[str]:
    return {check.claim for check in judge(facts) if not check.holds}


GOOD = good_facts()
CHALLENGED = next(call for call in GOOD.calls if call.arm is Arm.CHALLENGER)
KEPT = next(call for call in GOOD.calls if call.revision == 3 and call.arm is Arm.CHAMPION)


def with_call(changed: Call, instead_of: Call) -> Facts:
    """Return facts in which the caller, the routers and the log agree on `changed`."""
    calls = [changed if call is instead_of else call for call in GOOD.calls]
    return replace(
        GOOD,
        calls=calls,
        router_rows=count_by_arm(calls),
        logged=[logged(call) for call in calls],
    )


def test_good_facts_break_no_claim() -> None:
    assert CHALLENGED.version == 2
    assert broken_claims(GOOD) == set()


@pytest.mark.parametrize(
    ("facts", "claim"),
    [
        (replace(GOOD, gate_refused=False), "the gate refuses an incomplete record"),
        (replace(GOOD, failures=["UNAVAILABLE: gone"]), "no call failed"),
        (
            replace(GOOD, router_rows={**GOOD.router_rows, ArmCount(1, Arm.CHAMPION, 3): 1}),
            "the routers count what the callers count",
        ),
        (
            replace(GOOD, ledger=replace(GOOD.ledger, offered=GOOD.ledger.offered + 1)),
            "the mirror's ledger balances",
        ),
        (
            replace(GOOD, logged=GOOD.logged[1:]),
            "the score log holds every answer, once and as given",
        ),
        (
            replace(GOOD, logged=[*GOOD.logged, GOOD.logged[0]]),
            "the score log holds every answer, once and as given",
        ),
        (
            replace(GOOD, logged=[*GOOD.logged, replace(GOOD.logged[0], request_id="x")]),
            "the score log holds every answer, once and as given",
        ),
        (
            replace(GOOD, logged=[replace(GOOD.logged[0], score=0.5), *GOOD.logged[1:]]),
            "the score log holds every answer, once and as given",
        ),
        (
            replace(GOOD, shadow_rows={"ok": GOOD.ledger.ok - 1, "error": 1}),
            "the shadow log holds every mirrored row",
        ),
        (replace(GOOD, outcome_rows=0), "the outcome log holds every outcome"),
        (replace(GOOD, audit_intact=False), "the audit log's chain is whole"),
        (
            replace(GOOD, deployments={**DEPLOYMENTS, 5: replace(DEPLOYMENTS[5], challengers=())}),
            "the rollback restored the earlier revision",
        ),
    ],
)
def test_a_contradicting_fact_breaks_the_claim(facts: Facts, claim: str) -> None:
    assert claim in broken_claims(facts)


def test_a_call_on_the_wrong_arm_is_a_stray() -> None:
    stray = with_call(replace(KEPT, arm=Arm.CHALLENGER, version=2), KEPT)

    assert "every call was answered by the arm of its unit" in broken_claims(stray)


def test_a_call_on_the_wrong_version_of_its_arm_is_a_stray() -> None:
    stray = with_call(replace(CHALLENGED, version=3), CHALLENGED)

    assert "every call was answered by the arm of its unit" in broken_claims(stray)


def test_a_revision_that_does_not_exist_is_a_stray() -> None:
    stray = with_call(replace(KEPT, revision=9), KEPT)

    assert "every call was answered by the arm of its unit" in broken_claims(stray)


def test_a_withheld_share_may_stay_with_the_champion_while_a_version_warms_up() -> None:
    stayed = replace(CHALLENGED, arm=Arm.CHAMPION, version=1, may_be_withheld=True)

    claims = broken_claims(with_call(stayed, CHALLENGED))

    assert "every call was answered by the arm of its unit" not in claims


def test_a_withheld_share_may_not_stay_once_all_versions_are_ready() -> None:
    stayed = replace(CHALLENGED, arm=Arm.CHAMPION, version=1)

    claims = broken_claims(with_call(stayed, CHALLENGED))

    assert "every call was answered by the arm of its unit" in claims


def test_no_traffic_is_not_a_success() -> None:
    nothing = replace(
        GOOD, calls=[], router_rows={}, logged=[], ledger=MirrorLedger(), shadow_rows={}
    )

    assert {"no call failed", "the shadow log holds every mirrored row"} <= broken_claims(nothing)


def test_only_the_first_of_many_facts_are_shown() -> None:
    facts = replace(GOOD, failures=[f"why {number}" for number in range(9)])

    (check,) = (each for each in judge(facts) if each.claim == "no call failed")

    assert len(check.broken) == 6
    assert check.broken[-1] == "and 4 more"
