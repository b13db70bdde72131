"""The way back of the champion alone, and the state at an earlier time."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.cli.arguments import parse_time_ns
from tests.registry.commands import REASON, command, json_of
from tests.registry.test_changes import CHANGES, History, history_after
from understudy.domain.changes import (
    Change,
    DeployChampion,
    Ended,
    Promote,
    Rollback,
    SetCanary,
    SetShadow,
    SetThreshold,
)
from understudy.domain.errors import InvalidInputError, RefusedError, UnderstudyError
from understudy.runtime.exit_codes import OK, REFUSED, USAGE

ONLY_CHAMPION = Rollback(only_champion=True)


def test_the_champion_goes_back_and_the_changes_since_stay() -> None:
    history = history_after(
        DeployChampion(1),
        SetCanary(2, 5000),
        Promote(2),
        SetShadow(3, 10_000),
        SetThreshold(0.5),
    )

    back = history.after(ONLY_CHAMPION)

    assert (back.champion, back.challengers) == (1, ()), "the version that is left takes no share"
    assert [each.version for each in back.shadows] == [3]
    assert back.decision_threshold == 0.5


def test_a_champion_that_went_back_is_not_undone_by_going_back_again() -> None:
    history = history_after(DeployChampion(1), DeployChampion(2), ONLY_CHAMPION, SetThreshold(0.5))

    with pytest.raises(RefusedError, match="revision 3 took the champion back already"):
        history.after(ONLY_CHAMPION)


def test_a_champion_that_never_changed_cannot_go_back() -> None:
    history = history_after(DeployChampion(1), SetThreshold(0.5))

    with pytest.raises(RefusedError, match="the champion is the same in the last 2 revisions"):
        history.after(ONLY_CHAMPION)


@given(st.lists(CHANGES, max_size=20))
def test_only_the_champion_goes_back(changes: list[Change]) -> None:
    history = History()
    for change in changes:
        with suppress(UnderstudyError):
            history.make(change)
    if not history.revisions or isinstance(history.revisions[-1], Ended):
        return
    current = history[-1]

    with suppress(RefusedError):
        back = history.after(ONLY_CHAMPION)
        assert back.champion != current.champion
        assert back.champion in history.champions
        ended = {current.champion, back.champion}  # an A/A ends with its champion
        kept = [each for each in current.challengers if each.version not in ended]
        shadows = [each for each in current.shadows if each.version not in ended]
        assert (list(back.challengers), list(back.shadows)) == (kept, shadows)
        assert (
            back.digest
            == replace(
                current,
                champion=back.champion,
                challengers=back.challengers,
                shadows=back.shadows,
            ).digest
        )


def test_a_rollback_names_a_revision_or_the_champion() -> None:
    with pytest.raises(InvalidInputError, match="to_revision"):
        Rollback(3, only_champion=True)


@pytest.mark.parametrize(
    ("text", "end_ns"),
    [
        ("1970-01-01T00:00:01", 1_999_999_999),
        ("1970-01-01T00:00:01.5", 1_500_000_000),
        ("1970-01-01T01:00:01.123456789+01:00", 1_123_456_789),
        ("1970-01-01", 999_999_999),
    ],
)
def test_a_time_without_a_zone_is_utc_and_a_second_is_whole(text: str, end_ns: int) -> None:
    assert parse_time_ns(text, "--at") == end_ns


@pytest.mark.parametrize(
    "text", ["", "now", "3 am", "2026-13-01", "1969-12-31", "9999-12-31T23:00-02:00"]
)
def test_a_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--at"):
        parse_time_ns(text, "--at")


def test_commands_go_back_and_show_an_earlier_state(registry: str) -> None:
    command("deploy", "fraud@1", *REASON)
    command("deploy", "fraud@2", *REASON)
    assert command("threshold", "fraud", "--value", "0.7", *REASON).exit_code == OK
    second = json_of("history", "fraud")[1]

    state = json_of("state", "fraud", "--at", second["at"])
    before = command("state", "fraud", "--at", "2001-01-01")
    both = command("rollback", "fraud", "--champion", "--to-revision", "1", *REASON)
    back = json_of("rollback", "fraud", "--champion", *REASON)["after"]
    again = command("rollback", "fraud", "--champion", *REASON)

    assert state["deployment"]["revision"] == 2
    assert state["reason"] == "a test"
    assert (before.exit_code, both.exit_code, again.exit_code) == (USAGE, USAGE, REFUSED)
    assert (back["champion"], back["decision_threshold"]) == (1, 0.7)
    assert "as declared then" in command("state", "fraud", "--at", "2999-01-01").stdout
