"""The placement of models on hosts: which host may run which deployment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.deployments import Deployment
from understudy.domain.errors import InvalidInputError
from understudy.domain.placement import (
    ANY_MODEL,
    MOST_LABELS,
    Placement,
    checked_placement,
    listed_names,
    unplaced,
)

LABELS = st.lists(st.sampled_from(["gpu", "eu", "large"]), unique=True).map(tuple)


@given(LABELS, LABELS, st.sampled_from([(), ("fraud",), ("credit",)]))
def test_a_host_may_run_its_models_that_ask_for_no_label_that_it_lacks(
    asked: tuple[str, ...], labels: tuple[str, ...], models: tuple[str, ...]
) -> None:
    obstacle = Placement(models, labels).obstacle("fraud", asked)

    assert (obstacle is None) == ("credit" not in models and set(asked) <= set(labels))


def test_the_reason_names_each_host_with_its_own() -> None:
    hosts = {"b": Placement(labels=("eu",)), "a": Placement(("credit",), ("gpu",))}

    assert unplaced("fraud", ("gpu",), hosts) == (
        "no host runs fraud, which asks for gpu: a runs only credit; b lacks gpu; its labels: eu"
    )
    assert unplaced("credit", ("gpu",), hosts) is None
    assert unplaced("fraud", ("gpu",), {}) is None, "no host reports, so none is known to refuse"


def test_a_host_without_settings_runs_all_that_ask_for_nothing() -> None:
    assert checked_placement(listed_names(""), ()) == ANY_MODEL
    assert checked_placement(listed_names("b, a"), ("gpu",)) == Placement(("a", "b"), ("gpu",))


@pytest.mark.parametrize(
    ("models", "labels", "message"),
    [
        (("Fraud",), (), "models\\[0\\]: read 'Fraud'"),
        (("",), (), "models\\[0\\]"),
        (("a", "a"), (), "models: read a twice"),
        ((), ("gpu", "gpu"), "labels: read gpu twice"),
        ((), ("a b",), "labels\\[0\\]: read 'a b'; accepted: 1 to 63"),
        (
            (),
            tuple(map(str, range(MOST_LABELS + 1))),
            "labels: read 33 labels; accepted: at most 32",
        ),
    ],
)
def test_names_that_could_never_match_are_refused(
    models: tuple[str, ...], labels: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        checked_placement(models, labels)


def test_a_deployment_asks_for_labels_that_a_host_can_have() -> None:
    with pytest.raises(InvalidInputError, match="host_labels\\[0\\]"):
        Deployment("m", 1, champion=1, salt="s", host_labels=("no label",))
