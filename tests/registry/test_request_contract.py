"""The request contract through arbitrary histories: no rollout changes it for callers."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.decisions.changes import apply_change
from registry.decisions.request_contract import ModelVersions
from registry.decisions.rollback import needed_revision
from tests.registry.test_changes import History
from understudy.domain.changes import (
    Change,
    ChangeContract,
    DeployChampion,
    Promote,
    RemoveCanary,
    RemoveShadow,
    Revision,
    Rollback,
    SetCanary,
    SetFallback,
    SetRules,
    SetShadow,
    Undeploy,
)
from understudy.domain.deployments import Fallback, Rule, RuleOperator, versions_in_use
from understudy.domain.errors import InvalidInputError, RefusedError, UnderstudyError
from understudy.domain.features import FeatureDtype
from understudy.domain.request_contract import (
    ContractChange,
    RequestContract,
    RequestFeature,
    SentParts,
    VersionNeeds,
    is_refused,
    takes,
)

A = RequestFeature("a", FeatureDtype.FLOAT32)
B = RequestFeature("b", FeatureDtype.FLOAT32)
M = RequestFeature("m", FeatureDtype.FLOAT32)
AMOUNT = RequestFeature("amount", FeatureDtype.FLOAT64)
WHOLE_AMOUNT = RequestFeature("amount", FeatureDtype.INT64)
TEXT_AMOUNT = RequestFeature("amount", FeatureDtype.STRING)


def needs(
    entities: tuple[str, ...], *features: RequestFeature, only: tuple[str, ...] = ()
) -> VersionNeeds:
    return VersionNeeds(entities, features, frozenset(only), columns=features, outputs=("score",))


NEEDS = {
    1: needs(("user",), A, B),
    2: needs(("user", "merchant"), A, B, M),
    3: needs(("merchant", "user"), M, A, B),  # the same in another order
    4: needs(("user",), A, B, AMOUNT, only=("amount",)),
    5: needs((), AMOUNT, only=("amount",)),
}
LARGE = Rule("large", "amount", RuleOperator.GREATER, 1e4, "review", 1.0)
DECLARED = replace(LARGE, request_dtype=FeatureDtype.FLOAT64)
ON_A = replace(LARGE, name="on a", feature="a")

NUMBERS = st.integers(1, 5)
ROLLOUTS: st.SearchStrategy[Change] = st.one_of(
    st.builds(DeployChampion, NUMBERS),
    st.builds(SetShadow, NUMBERS, st.just(10_000)),
    st.builds(SetCanary, NUMBERS, st.just(2_000)),
    st.builds(RemoveShadow, NUMBERS),
    st.builds(RemoveCanary, NUMBERS),
    st.builds(Promote, st.none() | NUMBERS),
    st.builds(Rollback, st.none() | st.integers(1, 12)),
    st.builds(SetFallback, st.builds(Fallback, version=st.none() | NUMBERS)),
    st.builds(SetRules, st.sampled_from([(), (LARGE,), (DECLARED,), (ON_A, DECLARED)])),
    st.builds(Undeploy),
)
REQUESTS = [
    SentParts(frozenset(entities), frozenset(features))
    for entities in ((), ("user",), ("merchant",), ("user", "merchant"), ("usr",))
    for count in range(5)
    for features in combinations(("a", "m", "amount", "amuont"), count)
]


class Registered(History):
    """A history over versions that read different parts of a request."""

    def __init__(self, versions: dict[int, VersionNeeds] | None = None) -> None:
        super().__init__()
        self.versions = NEEDS if versions is None else versions

    def next(self, change: Change) -> Revision:
        needed = needed_revision(self.past, change)
        return apply_change(
            self.revisions[-1] if self.revisions else None,
            change,
            earlier={each.revision: each for each in self.revisions}.get(needed or 0),
            model="loan",
            versions=ModelVersions(self.versions, self.named),
            first_salt="a salt",
        )


def contract_after(*changes: Change) -> RequestContract:
    history = Registered()
    for change in changes:
        history.make(change)
    return history[-1].contract


def contract_change(**parts: object) -> ChangeContract:
    return ChangeContract(ContractChange(**parts))  # type: ignore[arg-type]  # a test states a part


@given(NUMBERS, st.lists(ROLLOUTS, max_size=20))
def test_no_rollout_refuses_a_request_that_was_accepted(first: int, changes: list[Change]) -> None:
    history = Registered()
    history.make(DeployChampion(first))
    for change in changes:
        before = history[-1].contract
        try:
            after = history.make(change).contract
        except UnderstudyError:
            continue
        for sent in REQUESTS:
            assert is_refused(sent, before) or not is_refused(sent, after)
        assert after.required_entities == before.required_entities
        assert after.unit_entity == before.unit_entity
        if isinstance(change, Rollback):
            assert after == before


@given(NUMBERS, st.lists(ROLLOUTS, max_size=20))
def test_every_declared_version_and_rule_finds_its_names(first: int, changes: list[Change]) -> None:
    history = Registered()
    for change in (DeployChampion(first), *changes):
        try:
            after = history.make(change)
        except UnderstudyError:
            continue
        for number in versions_in_use(after):
            assert {*NEEDS[number].features} <= {*after.contract.features}
            assert {*NEEDS[number].entities} <= {*after.contract.entities}
        for rule in after.rules:
            assert rule.feature in after.contract.dtypes
        assert is_refused(SentParts(frozenset({"usr"}), frozenset()), after.contract)


def test_the_first_champion_sets_the_contract() -> None:
    contract = contract_after(DeployChampion(1))

    assert (contract.required_entities, contract.unit_entity) == (("user",), "user")
    assert [each.name for each in contract.features] == ["a", "b"]


def test_the_entities_of_a_registered_version_are_accepted_before_it_takes_traffic() -> None:
    assert contract_after(DeployChampion(1)).entities == ("user", "merchant")


def test_a_version_registered_later_is_seen_by_the_next_change() -> None:
    history = Registered({1: NEEDS[1]})
    history.make(DeployChampion(1))
    history.versions = NEEDS

    assert history[-1].contract.entities == ("user",)
    assert history.after(SetShadow(4, 10_000)).contract.entities == ("user", "merchant")
    with pytest.raises(RefusedError, match="already in this state"):
        history.after(DeployChampion(1))


def test_a_rollback_to_the_first_revision_has_its_digest_and_the_contract_of_now() -> None:
    history = Registered()
    for change in (DeployChampion(1), SetCanary(4, 2000), Promote(4)):
        history.make(change)

    back = history.after(Rollback(1))

    assert back.digest == history[0].digest
    assert back.contract == history[2].contract != history[0].contract


def test_a_contract_changes_on_purpose() -> None:
    contract = contract_after(
        DeployChampion(1),
        contract_change(require_entities=("merchant",), unit_entity="merchant"),
        contract_change(release_entities=("user",), accept_features=("amount",)),
        contract_change(refuse_features=("b",)),
    )

    assert contract.required_entities == ("merchant",)
    assert contract.entities == ("user", "merchant")
    assert contract.unit_entities == ("merchant",)
    assert contract.dtypes == {"a": A.dtype, "amount": AMOUNT.dtype}


def test_a_refused_name_stays_refused_until_another_version_declares_it() -> None:
    changes = (
        DeployChampion(1),
        SetShadow(2, 10_000),
        contract_change(refuse_features=("m",), refuse_entities=("merchant",)),
    )

    assert "m" not in contract_after(*changes, SetCanary(2, 1000), Promote(2)).dtypes
    assert "merchant" not in contract_after(*changes, SetCanary(2, 1000)).entities
    assert "m" in contract_after(*changes, SetShadow(3, 10_000)).dtypes


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"require_entities": ("usr",)}, "require_entities: read 'usr'"),
        ({"accept_entities": ("usr",)}, "accept_entities: read 'usr'"),
        ({"release_entities": ("merchant",)}, "release_entities: read 'merchant'"),
        ({"refuse_entities": ("user",)}, "an entity that is not required"),
        ({"refuse_entities": ("user",), "release_entities": ("user",)}, "the unit key"),
        ({"accept_features": ("amuont",)}, "accept_features: read 'amuont'"),
        ({"refuse_features": ("amuont",)}, "refuse_features: read 'amuont'"),
        ({"refuse_features": ("amount",)}, "'large' does"),
        ({"unit_entity": "usr"}, "unit_entity: read 'usr'"),
        ({"accept_features": ("a",), "refuse_features": ("a",)}, "not also added"),
    ],
)
def test_a_faulty_change_of_the_contract_names_its_part(
    parts: dict[str, tuple[str, ...] | str], field: str
) -> None:
    with pytest.raises(InvalidInputError, match=field):
        contract_after(DeployChampion(1), SetRules((DECLARED,)), contract_change(**parts))


def test_a_change_of_the_contract_without_effect_is_refused() -> None:
    with pytest.raises(RefusedError, match="already in this state"):
        contract_after(DeployChampion(1), contract_change(require_entities=("user",)))


def test_a_deployment_that_begins_again_keeps_its_contract() -> None:
    required = contract_change(require_entities=("merchant",))

    contract = contract_after(DeployChampion(1), required, Undeploy(), DeployChampion(5))

    assert contract.required_entities == ("user", "merchant")
    assert contract.unit_entity == "user"


def test_a_rollback_does_not_undo_a_change_of_the_contract() -> None:
    with pytest.raises(RefusedError, match="leaves the request contract"):
        contract_after(
            DeployChampion(1), contract_change(require_entities=("merchant",)), Rollback()
        )


def test_a_version_that_cannot_take_what_callers_send_is_refused() -> None:
    history = Registered({**NEEDS, 6: needs(("user",), WHOLE_AMOUNT), 7: needs((), TEXT_AMOUNT)})
    history.make(DeployChampion(4))

    for change in (SetShadow(6, 10_000), SetCanary(7, 100), DeployChampion(7)):
        with pytest.raises(RefusedError, match="but the contract has it as float64"):
            history.after(change)


def test_a_removed_name_does_not_return_with_a_dtype_that_a_rollback_could_not_take() -> None:
    history = Registered({**NEEDS, 6: needs(("user",), WHOLE_AMOUNT)})
    for change in (
        DeployChampion(6),
        DeployChampion(1),
        contract_change(refuse_features=("amount",)),
    ):
        history.make(change)

    with pytest.raises(RefusedError, match="loan@6 reads amount as int64"):
        history.after(SetShadow(4, 10_000))


@pytest.mark.parametrize("sent", FeatureDtype)
@pytest.mark.parametrize("column", FeatureDtype)
def test_a_column_takes_a_dtype_only_if_it_holds_all_of_its_values(
    column: FeatureDtype, sent: FeatureDtype
) -> None:
    numbers = {FeatureDtype.FLOAT32, FeatureDtype.FLOAT64}

    wider = column in numbers and sent in {*numbers, FeatureDtype.INT64}

    assert takes(column, sent) == (column is sent or wider)


@pytest.mark.parametrize(
    ("first", "rule", "refused"),
    [
        (1, ON_A, None),
        (1, DECLARED, None),
        (1, LARGE, "which loan@1 does not read"),
        (1, replace(ON_A, feature="amuont"), "which loan@1 does not read"),
        (1, replace(DECLARED, request_dtype=FeatureDtype.STRING), "a numeric dtype"),
        (4, LARGE, None),
        (6, replace(LARGE, feature="word"), "numeric values"),
    ],
)
def test_a_rule_reads_what_answering_versions_read_or_what_it_declares(
    first: int, rule: Rule, refused: str | None
) -> None:
    word = RequestFeature("word", FeatureDtype.STRING)
    history = Registered({**NEEDS, 6: needs(("user",), word)})
    history.make(DeployChampion(first))

    if refused is None:
        assert history.after(SetRules((rule,))).rules == (rule,)
    else:
        with pytest.raises(InvalidInputError, match=refused):
            history.after(SetRules((rule,)))


def test_a_rule_reads_a_request_feature_that_a_shadow_brought() -> None:
    contract = contract_after(DeployChampion(1), SetShadow(4, 10_000), SetRules((LARGE,)))

    assert "amount" in contract.dtypes


@pytest.mark.parametrize(
    "change", [SetCanary(5, 100), DeployChampion(5), SetFallback(Fallback(version=5))]
)
def test_a_version_for_which_a_rule_could_not_act_takes_no_traffic(change: Change) -> None:
    history = Registered()
    history.make(DeployChampion(1))
    history.make(SetRules((ON_A,)))

    with pytest.raises(RefusedError, match="loan@5 does not read"):
        history.after(change)
    assert history.after(SetShadow(5, 10_000)).rules == (ON_A,)
