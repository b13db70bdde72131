"""The next revision of a deployment, by table and by arbitrary sequences of changes."""

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.changes import apply_change
from registry.decisions.request_contract import ModelVersions
from registry.decisions.rollback import PastRevision, needed_revision
from registry.decisions.traffic import gains, standby_of
from understudy.domain.changes import (
    ACTIONS,
    Action,
    Apply,
    Change,
    DeployChampion,
    Ended,
    Pause,
    Promote,
    RemoveCanary,
    RemoveShadow,
    Revision,
    Rollback,
    SetCanary,
    SetFallback,
    SetHostLabels,
    SetRules,
    SetShadow,
    SetThreshold,
    Undeploy,
    apply_of,
)
from understudy.domain.deployments import (
    Challenger,
    Deployment,
    Fallback,
    Rule,
    RuleOperator,
    Shadow,
    versions_in_use,
)
from understudy.domain.errors import InvalidInputError, NotFoundError, RefusedError, UnderstudyError
from understudy.domain.features import FeatureDtype
from understudy.domain.margins import Margins, Measure
from understudy.domain.request_contract import RequestFeature, VersionNeeds

KNOWN = frozenset({1, 2, 3, 4})
NEEDS = dict.fromkeys(
    KNOWN,
    VersionNeeds(columns=(RequestFeature("patient@1:f0", FeatureDtype.FLOAT32),)),
)
RULE = Rule("vip", "patient@1:f0", RuleOperator.GREATER, 1.0, "accept", 0.0)

NUMBERS = st.integers(1, 5)  # 5 is not registered
SHARES = st.integers(0, 12_000)
CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(DeployChampion, NUMBERS),
    st.builds(SetShadow, NUMBERS, SHARES),
    st.builds(SetCanary, NUMBERS, SHARES),
    st.builds(RemoveShadow, NUMBERS),
    st.builds(RemoveCanary, NUMBERS),
    st.builds(Promote, st.none() | NUMBERS),
    st.builds(Rollback, st.none() | st.integers(1, 12)),
    st.builds(SetFallback, st.builds(Fallback, version=st.none() | NUMBERS)),
    st.builds(SetRules, st.sampled_from([(), (RULE,), (RULE, RULE)])),
    st.builds(SetThreshold, st.none() | st.floats()),
    st.builds(SetHostLabels, st.lists(st.sampled_from(["a", "b", "no label"])).map(tuple)),
    st.builds(Pause, st.none() | NUMBERS),
    st.builds(
        Apply,
        NUMBERS,
        st.lists(st.builds(Challenger, NUMBERS, SHARES), max_size=2).map(tuple),
        st.lists(st.builds(Shadow, NUMBERS, SHARES), max_size=2).map(tuple),
    ),
    st.builds(Undeploy),
)


def content_of(revision: Revision) -> Deployment:
    return revision.last if isinstance(revision, Ended) else revision


@dataclass
class History:
    """The revisions of a model, oldest first, each with the action that created it."""

    revisions: list[Revision] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)

    def __getitem__(self, index: int) -> Deployment:
        return content_of(self.revisions[index])

    @property
    def past(self) -> list[PastRevision]:
        made = [(self[index], action) for index, action in enumerate(self.actions)]
        return [PastRevision(r.revision, r.champion, r.digest, action) for r, action in made][::-1]

    @property
    def champions(self) -> tuple[int, ...]:
        return tuple(
            dict.fromkeys(self[-back].champion for back in range(1, len(self.revisions) + 1))
        )

    @property
    def named(self) -> frozenset[int]:
        made = [content_of(each) for each in self.revisions]
        return frozenset(number for each in made for number in versions_in_use(each))

    def after(self, change: Change) -> Deployment:
        """Return the content of the next revision; the history stays the same."""
        return content_of(self.next(change))

    def next(self, change: Change) -> Revision:
        """Return the next revision; the history stays the same."""
        needed = needed_revision(self.past, change)
        return apply_change(
            self.revisions[-1] if self.revisions else None,
            change,
            earlier={each.revision: each for each in self.revisions}.get(needed or 0),
            model="fraud",
            versions=ModelVersions(NEEDS, self.named),
            first_salt="a salt",
        )

    def make(self, change: Change) -> Deployment:
        """Append the next revision, unless there is none; return the content of the last one."""
        after = self.next(change)
        if not self.revisions or after is not self.revisions[-1]:
            self.revisions.append(after)
            self.actions.append(ACTIONS[type(change)])
        return self[-1]


def history_after(*changes: Change) -> History:
    history = History()
    for change in changes:
        history.make(change)
    return history


@given(st.lists(CHANGES, max_size=20))
def test_no_sequence_of_changes_breaks_a_deployment(changes: list[Change]) -> None:
    history = History()
    for change in changes:
        before = list(history.revisions)
        try:
            after = history.make(change)
        except UnderstudyError:
            assert history.revisions == before
            continue
        assert after.revision == len(history.revisions)
        assert sum(each.weight_bp for each in after.challengers) <= 10_000
        assert set(versions_in_use(after)) <= KNOWN
        assert after.salt == history[0].salt
        if isinstance(change, Rollback):
            wanted = change.to_revision or len(before) - 1
            assert after.digest == history[wanted - 1].digest
            assert not isinstance(before[wanted - 1], Ended)
    for earlier, later in pairwise(history.revisions):
        if isinstance(earlier, Ended):
            assert not isinstance(later, Ended)
        else:
            assert isinstance(later, Ended) == (earlier.digest == later.digest)


@given(st.lists(CHANGES, max_size=20))
def test_a_rollback_without_a_revision_never_undoes_a_rollback(changes: list[Change]) -> None:
    history = History()
    for change in changes:
        with suppress(UnderstudyError):
            history.make(change)

    if history.actions[-1:] == ["rollback"]:
        with pytest.raises(RefusedError, match="--to-revision"):
            history.after(Rollback())


@given(st.lists(CHANGES, min_size=1, max_size=20), st.integers(0, 4))
def test_standby_consists_of_former_champions_without_a_role(
    changes: list[Change], limit: int
) -> None:
    history = history_after(DeployChampion(1))
    for change in changes:
        with suppress(UnderstudyError):
            history.make(change)

    standby = standby_of(history[-1], history.champions, limit=limit)

    assert len(standby) <= limit
    assert len(set(standby)) == len(standby)
    assert not set(standby) & set(versions_in_use(history[-1]))
    assert set(standby) <= set(history.champions)


def test_the_first_change_deploys_a_champion() -> None:
    first = history_after(DeployChampion(2))[0]

    assert (first.champion, first.revision, first.salt) == (2, 1, "a salt")


@pytest.mark.parametrize(
    "change", [SetCanary(2, 10), SetShadow(2, 10), Promote(2), Rollback(), SetThreshold(0.5)]
)
def test_the_first_change_must_be_a_champion(change: Change) -> None:
    with pytest.raises(RefusedError, match="not deployed"):
        History().after(change)


def test_promotion_takes_the_only_challenger() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000), SetShadow(3, 10_000))

    promoted = history.after(Promote())

    assert promoted.champion == 2
    assert promoted.challengers == ()
    assert promoted.shadows == (Shadow(3, 10_000),)


def test_promotion_keeps_the_other_challengers() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000), SetCanary(3, 2000))

    assert history.after(Promote(2)).challengers == (Challenger(3, 2000),)


@pytest.mark.parametrize("change", [Promote(), Promote(4)])
def test_promotion_of_a_missing_or_ambiguous_challenger_is_refused(change: Change) -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000), SetCanary(3, 2000))

    with pytest.raises(RefusedError):
        history.after(change)


def test_weights_above_100_percent_are_refused() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 6000))

    with pytest.raises(InvalidInputError, match="10001 basis points together"):
        history.after(SetCanary(3, 4001))


def test_a_share_is_replaced_and_removed() -> None:
    history = history_after(
        DeployChampion(1), SetCanary(2, 10), SetCanary(2, 20), SetShadow(3, 10), SetShadow(3, 30)
    )

    assert history[-1].challengers == (Challenger(2, 20),)
    assert history[-1].shadows == (Shadow(3, 30),)
    assert history.after(RemoveCanary(2)).challengers == ()
    assert history.after(RemoveShadow(3)).shadows == ()


@pytest.mark.parametrize("change", [RemoveCanary(3), RemoveShadow(3), DeployChampion(1)])
def test_a_change_that_changes_nothing_is_refused(change: Change) -> None:
    with pytest.raises(RefusedError):
        history_after(DeployChampion(1)).after(change)


@pytest.mark.parametrize(
    "change",
    [
        DeployChampion(9),
        SetCanary(9, 10),
        SetShadow(9, 10),
        SetFallback(Fallback(version=9)),
        Rollback(7),
    ],
)
def test_missing_versions_and_revisions_are_not_found(change: Change) -> None:
    with pytest.raises(NotFoundError):
        history_after(DeployChampion(1), DeployChampion(2)).after(change)


def test_rollback_returns_to_the_revision_before() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 500), Promote())

    back = history.after(Rollback())

    assert back.digest == history[1].digest
    assert back.revision == 4


def test_rollback_of_the_first_revision_is_refused() -> None:
    with pytest.raises(RefusedError, match="no revision before 1"):
        history_after(DeployChampion(1)).after(Rollback())


def test_a_second_rollback_names_the_revisions_to_choose_from() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 500), Promote(), Rollback())

    with pytest.raises(RefusedError, match="revision 4 is itself a rollback") as refused:
        history.after(Rollback())

    told = str(refused.value)
    assert told.endswith("--to-revision: 3 (champion @2), 1 (champion @1)")
    assert history.after(Rollback(1)).champion == 1


def test_a_change_after_a_rollback_can_be_undone() -> None:
    history = history_after(DeployChampion(1), DeployChampion(2), Rollback(), SetShadow(3, 100))

    assert history.after(Rollback()).digest == history[2].digest


def test_few_candidates_are_named() -> None:
    changes = [SetCanary(2, weight_bp) for weight_bp in range(100, 1000, 100)]

    with pytest.raises(RefusedError) as refused:
        history_after(DeployChampion(1), *changes, Rollback()).after(Rollback())

    assert str(refused.value).count("champion @") == 5


def test_an_undeploy_ends_a_deployment_and_a_rollback_begins_it_again() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000))

    history.make(Undeploy())
    ended = history.revisions[-1]
    again = history.make(Rollback())

    assert ended == Ended(history[1].numbered(3))
    assert again == history[1].numbered(4)


def test_a_deployment_begins_again_with_its_numbers_and_salt() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000), Undeploy())

    again = history.make(DeployChampion(3))

    old = history[0]
    assert again == Deployment("fraud", 4, champion=3, salt=old.salt, contract=old.contract)


@pytest.mark.parametrize("change", [Undeploy(), SetCanary(2, 10), SetFallback(Fallback())])
def test_an_ended_deployment_takes_no_change(change: Change) -> None:
    history = history_after(DeployChampion(1), Undeploy())

    with pytest.raises(RefusedError, match="fraud is not deployed"):
        history.make(change)


def test_a_rollback_to_an_end_is_refused() -> None:
    history = history_after(DeployChampion(1), Undeploy(), DeployChampion(2))

    for change in (Rollback(2), Rollback()):
        with pytest.raises(RefusedError, match="revision 2 ended the deployment of fraud"):
            history.make(change)


def test_a_rollback_after_a_restore_undoes_the_change_before_it() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000))
    history.revisions.append(history[1].numbered(2_000))
    history.actions.append(Action.RESTORE)

    back = history.make(Rollback())

    assert back == history[0].numbered(2_001)


def test_policies_are_replaced_as_a_whole() -> None:
    history = history_after(DeployChampion(1), SetThreshold(0.4), SetRules((RULE,)))

    assert history[-1].decision_threshold == 0.4
    assert history[-1].rules == (RULE,)
    assert history.after(SetFallback(Fallback(constant_score=0.1))).fallback.constant_score == 0.1


def test_the_last_champion_is_on_standby() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 500), Promote(), SetShadow(3, 100))

    assert standby_of(history[-1], history.champions, limit=1) == (1,)


def test_only_more_traffic_is_a_gain() -> None:
    [first, second, third] = history_after(
        DeployChampion(1), SetCanary(2, 500), SetFallback(Fallback(version=3))
    ).revisions

    assert gains(None, first) == (1,)
    assert gains(first, second) == (2,)
    assert gains(second, first) == (1,)
    assert gains(second, third) == (3,)


def test_a_paused_challenger_stays_declared_without_traffic_until_a_rollback() -> None:
    history = history_after(DeployChampion(1), SetCanary(2, 1000), SetCanary(3, 2000))

    one = history.after(Pause(3))
    paused = history.make(Pause())
    resumed = history.make(Rollback())

    assert one.challengers == (Challenger(2, 1000), Challenger(3, 0))
    assert paused.challengers == (Challenger(2, 0), Challenger(3, 0))
    assert versions_in_use(paused) == (1, 2, 3)
    assert resumed.challengers == (Challenger(2, 1000), Challenger(3, 2000))


@pytest.mark.parametrize("change", [Pause(), Pause(3)])
def test_only_a_challenger_can_be_paused(change: Pause) -> None:
    with pytest.raises(RefusedError, match="challenger"):
        history_after(DeployChampion(1)).after(change)


def test_a_canary_without_a_share_is_no_pause() -> None:
    with pytest.raises(InvalidInputError, match="paused or removed"):
        history_after(DeployChampion(1)).after(SetCanary(2, 0))


@given(st.lists(CHANGES, max_size=12))
def test_declaring_the_content_of_a_revision_makes_exactly_that_content(
    changes: list[Change],
) -> None:
    history = history_after(DeployChampion(1))
    for change in changes:
        with suppress(UnderstudyError):
            history.make(change)
    wanted = history[-1]

    declared = apply_of(wanted)
    again = history_after(DeployChampion(4), declared)

    assert again[-1].digest == wanted.digest
    if isinstance(history.revisions[-1], Deployment):
        assert history.after(declared) == wanted  # it is declared already: no revision


def test_a_first_declaration_deploys_all_its_parts() -> None:
    first = history_after(Apply(2, (Challenger(1, 500),), (Shadow(3, 100),)))[0]

    assert (first.champion, first.revision, first.salt) == (2, 1, "a salt")
    assert versions_in_use(first) == (1, 2, 3)


SIZES = Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.01})
AT_THRESHOLD = Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.01, Measure.RECALL: 0.02})


def test_margins_stay_with_a_shadow_until_others_replace_them() -> None:
    history = history_after(DeployChampion(1), SetShadow(3, 100, margins=SIZES), SetShadow(3, 200))
    assert history[-1].shadows == (Shadow(3, 200, margins=SIZES),)
    assert history[-1].digest != history_after(DeployChampion(1), SetShadow(3, 200))[-1].digest

    wider = Margins.of_sizes(Measure.BRIER, {Measure.BRIER: 0.1})
    assert history.after(SetShadow(3, 200, margins=wider)).shadows[0].margins == wider
    assert history.after(RemoveShadow(3)).shadows == ()


def test_margins_that_need_a_threshold_are_refused_without_one() -> None:
    shadow = SetShadow(3, 100, margins=AT_THRESHOLD)
    without = history_after(DeployChampion(1))
    with pytest.raises(InvalidInputError, match=r"shadows\[0\].margins.recall: read no threshold"):
        without.after(shadow)

    history = history_after(DeployChampion(1), SetThreshold(0.5), shadow)
    with pytest.raises(InvalidInputError, match=r"margins\.recall"):
        history.after(SetThreshold(None))
