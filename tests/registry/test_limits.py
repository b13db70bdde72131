"""The limits of changes: how far, how fast and when; the way back is always open."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from registry.change_deployment import Changed, ChangeRequest, DeploymentChanger
from registry.decisions.actors import Actor
from registry.decisions.freezes import read_freezes
from registry.decisions.limits import (
    ChangeLimits,
    broken_limits,
    raised_shares_bp,
    share_since,
)
from registry.decisions.traffic import live_shares_bp
from registry.settings import RegistrySettings
from registry.store.database import open_database
from tests.registry.commands import REASON, command, end, json_of, start
from tests.registry.test_changes import CHANGES, History
from understudy.domain.changes import (
    Change,
    ChangeContract,
    DeployChampion,
    Ended,
    Pause,
    Promote,
    RemoveCanary,
    Rollback,
    SetCanary,
    SetFallback,
    SetShadow,
    SetThreshold,
    Undeploy,
)
from understudy.domain.deployments import Challenger, Deployment, Fallback
from understudy.domain.errors import InvalidInputError, RefusedError, UnderstudyError
from understudy.domain.request_contract import ContractChange
from understudy.runtime.exit_codes import OK, REFUSED

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
WEEKEND = read_freezes("Fri 16:00-Mon 08:00")
LIMITS = ChangeLimits(largest_step_bp=1_000, least_dwell_s=3_600)


@pytest.mark.parametrize(
    ("text", "at", "is_frozen"),
    [
        ("Fri 16:00-Mon 08:00", "2026-03-06T15:59:59", False),
        ("Fri 16:00-Mon 08:00", "2026-03-06T16:00", True),
        ("Fri 16:00-Mon 08:00", "2026-03-08T12:00", True),
        ("Fri 16:00-Mon 08:00", "2026-03-09T07:59:59", True),
        ("Fri 16:00-Mon 08:00", "2026-03-09T08:00", False),
        ("Tue 09:00-Tue 10:00", "2026-03-03T09:30", True),
        ("Tue 10:00-Tue 09:00", "2026-03-03T09:30", False),  # all of the week but that hour
        ("Tue 10:00-Tue 09:00", "2026-03-05T00:00", True),
        ("2026-12-20T00:00/2027-01-02T00:00", "2026-12-31T23:00", True),
        ("2026-12-20T00:00/2027-01-02T00:00", "2027-01-02T00:00", False),
        ("2026-12-20T00:00+02:00/2027-01-02T00:00", "2026-12-19T22:30", True),
        ("Tue 09:00-Tue 10:00; Wed 09:00-Wed 10:00", "2026-03-04T09:00", True),
    ],
)
def test_a_freeze_begins_and_ends_as_written(text: str, at: str, is_frozen: bool) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)

    assert any(each.contains(moment) for each in read_freezes(text)) == is_frozen


@pytest.mark.parametrize(
    "text",
    [
        "",
        ";",
        "Fri-Mon",
        "Fri 16:00-Fri 16:00",
        "Fri 24:00-Mon 08:00",
        "2027-01-02/2026-12-20",
        "2026-12-20",
        "a/b/c",
    ],
)
def test_a_freeze_that_would_not_act_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="Fri 16:00-Mon 08:00"):
        read_freezes(text)
    with pytest.raises(ValidationError):
        RegistrySettings(unproven=True, dir=tmp_path, freezes=text)


@given(st.integers(0, 10_079), st.integers(0, 10_079), st.integers(0, 20_000))
def test_each_minute_of_the_week_is_in_a_window_or_in_its_complement(
    begins: int, ends: int, minute: int
) -> None:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    first, last = (f"{days[m // 1_440]} {m % 1_440 // 60:02}:{m % 60:02}" for m in (begins, ends))
    if begins == ends:
        return
    [inside] = read_freezes(f"{first}-{last}")
    [outside] = read_freezes(f"{last}-{first}")
    at = MONDAY + timedelta(minutes=minute)

    assert inside.contains(at) != outside.contains(at)


CANARY = Deployment("fraud", 2, 1, "s", (Challenger(2, 500),))


@pytest.mark.parametrize(
    ("change", "after", "names"),
    [
        (SetCanary(2, 1_500), (1, (Challenger(2, 1_500),)), []),
        (SetCanary(2, 1_501), (1, (Challenger(2, 1_501),)), ["largest_step"]),
        (Promote(2), (2, ()), ["largest_step"]),
        (DeployChampion(3), (3, (Challenger(2, 500),)), ["largest_step"]),
        (RemoveCanary(2), (1, ()), []),
        (Rollback(1), (3, ()), []),
    ],
)
def test_no_version_gets_more_than_one_step(
    change: Change, after: tuple[int, tuple[Challenger, ...]], names: list[str]
) -> None:
    champion, challengers = after
    made = Deployment("fraud", 3, champion, "s", challengers)

    broken = broken_limits(LIMITS, change, CANARY, made, since={}, now=MONDAY)

    assert [each.name for each in broken] == names


def test_a_first_deployment_has_no_step() -> None:
    first = Deployment("fraud", 1, 1, "s", (Challenger(2, 5_000),))

    assert raised_shares_bp(None, first) == {}
    assert raised_shares_bp(Ended(CANARY), first) == {}


@pytest.mark.parametrize(
    ("change", "is_open"),
    [
        (Rollback(1), True),
        (RemoveCanary(2), True),
        (Pause(), True),
        (SetCanary(2, 400), True),
        (SetCanary(2, 600), False),
        (SetShadow(3, 100), False),
        (SetThreshold(0.5), False),
        (SetFallback(Fallback(constant_score=0.0)), False),
        (DeployChampion(3), False),
        (ChangeContract(ContractChange(release_entities=("user",))), False),
        (Undeploy(), False),
    ],
)
def test_in_a_freeze_only_the_way_back_is_open(change: Change, is_open: bool) -> None:
    history = History()
    for earlier in (DeployChampion(1), SetCanary(2, 500)):
        history.make(earlier)
    before = history.revisions[-1]
    after = before if isinstance(change, ChangeContract) else history.next(change)

    broken = broken_limits(
        ChangeLimits(freezes=WEEKEND),
        change,
        before,
        after,
        since={},
        now=MONDAY - timedelta(hours=1),
    )

    assert [each.name for each in broken] == ([] if is_open else ["freeze"])


@given(st.lists(st.tuples(CHANGES, st.integers(0, 7_200)), max_size=20))
def test_whatever_is_allowed_raises_no_share_too_far_too_fast_or_in_a_freeze(
    steps: list[tuple[Change, int]],
) -> None:
    limits = ChangeLimits(1_000, 3_600, WEEKEND)
    history = History()
    made: list[tuple[datetime, Deployment | Ended]] = []
    now = MONDAY - timedelta(hours=4)  # the window ends within the steps
    for change, pause_s in steps:
        now += timedelta(seconds=pause_s)
        before = history.revisions[-1] if history.revisions else None
        with suppress(UnderstudyError):
            after = history.next(change)
            raised = raised_shares_bp(before, after)
            since = {version: share_since(version, reversed(made)) for version in raised}
            if broken_limits(limits, change, before, after, since=since, now=now):
                continue
            history.make(change)
            if after is not before:
                made.append((now, after))
                if not isinstance(change, Rollback):
                    check_pace(made, after)


def check_pace(made: list[tuple[datetime, Deployment | Ended]], after: Deployment | Ended) -> None:
    """Check the last change against all before it, from the first revision on."""
    if isinstance(after, Ended) or len(made) < 2 or isinstance(made[-2][1], Ended):
        return
    (_, before), (now, _) = made[-2], made[-1]
    assert isinstance(before, Deployment)
    for version, bp in live_shares_bp(after).items():
        had_bp, began = 0, now
        for at, each in made[:-1]:
            at_bp = 0 if isinstance(each, Ended) else live_shares_bp(each).get(version, 0)
            began = began if at_bp == had_bp else at
            had_bp = at_bp
        if version != before.champion and bp > had_bp:
            assert bp - had_bp <= 1_000
            assert not WEEKEND[0].contains(now)
            assert not had_bp or now - began >= timedelta(hours=1)


class Clock:
    """The time of a registry under test."""

    def __init__(self) -> None:
        self.now = MONDAY

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., Changed]


@pytest.fixture
def make(seeded: Path, clock: Clock) -> Make:
    """Return a function that makes changes under limits."""
    changer = DeploymentChanger(open_database(seeded / "registry.sqlite"), clock, limits=LIMITS)

    def change(change: Change, override: str | None = None, *, dry_run: bool = False) -> Changed:
        return changer.change(
            ChangeRequest(
                "fraud",
                change,
                "a test",
                Actor("ada@lab"),
                expect_revision=None,
                dry_run=dry_run,
                override_reason=override,
            )
        )

    return change


def test_a_share_is_kept_for_the_least_dwell_whatever_else_is_changed(
    make: Make, clock: Clock
) -> None:
    make(DeployChampion(1))
    make(SetCanary(2, 500))
    for minute in range(30):  # more revisions than one page of the search
        clock.now = MONDAY + timedelta(minutes=minute)
        make(SetThreshold(float(minute)))
    clock.now = MONDAY + timedelta(minutes=59, seconds=59)

    with pytest.raises(RefusedError, match=r"least_dwell: fraud@2 has 5% since 2026-03-02T00:00"):
        make(SetCanary(2, 600), dry_run=True)
    clock.now = MONDAY + timedelta(hours=1)
    make(SetCanary(2, 600))

    with pytest.raises(RefusedError, match="least_dwell"):
        make(SetCanary(2, 700))
    assert make(SetCanary(2, 400)).applied  # less is always possible


def test_all_broken_limits_are_named_and_a_reason_overrides_them(make: Make) -> None:
    make(DeployChampion(1))
    make(SetCanary(2, 500))

    with pytest.raises(RefusedError, match=r"largest_step: .*100%.*; least_dwell: ") as refused:
        make(Promote(2))
    assert "give a reason" in str(refused.value)

    done = make(Promote(2), "incident 4711")

    assert [each.name for each in done.overridden] == ["largest_step", "least_dwell"]
    with pytest.raises(RefusedError, match="none to override"):
        make(Rollback(), "just in case")
    assert make(Rollback()).applied


def test_an_override_at_the_command_line_is_in_the_audit_log(
    seeded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_LARGEST_STEP_BP", "1000")
    process, target = start(seeded)
    monkeypatch.setenv("UNDERSTUDY_REGISTRY", target)
    command("deploy", "fraud@1", *REASON)

    refused = command("canary", "fraud@2", "--weight", "11%", *REASON)
    placeholder = command("canary", "fraud@2", "--weight", "11%", "--override", "n/a", *REASON)
    done = command("canary", "fraud@2", "--weight", "11%", "--override", "incident 4711", *REASON)
    audit = json_of("audit", "list", "fraud", "--verify")

    assert (refused.exit_code, done.exit_code) == (REFUSED, OK)
    assert "largest_step: fraud@2 would go from 0% to 11%; at most 10% more" in refused.stderr
    assert "override_reason" in placeholder.stderr
    assert '"override":"incident 4711"' in audit["entries"][-1]["details_json"]
    assert '"overridden_limits":"largest_step"' in audit["entries"][-1]["details_json"]
    assert audit["chain_intact"]
    assert end(process) == OK
