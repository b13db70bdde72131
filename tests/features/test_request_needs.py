"""The parts of a request that a version can use: the same as in a router's compiled plan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.domain.features import Feature, FeatureDtype, FeatureRef, FeatureView, ViewKind
from understudy.domain.request_contract import RequestFeature
from understudy.domain.versions import DYNAMIC, TensorSpec
from understudy.features.decisions.request_needs import request_needs
from understudy.features.serving.assembly import compile_plan

F64 = FeatureDtype.FLOAT64
USER = FeatureView("user", 1, "user", (Feature("a", F64, 0.0), Feature("b", F64, 0.0)))
SHOP = FeatureView("shop", 1, "shop", (Feature("a", F64, 0.0), Feature("m", F64, 0.0)))
BASKET = FeatureView(
    "basket", 1, "request", (Feature("amount", F64), Feature("items", F64)), kind=ViewKind.REQUEST
)
RATIO = FeatureView(
    "ratio",
    1,
    "request",
    (
        Feature("per_item", F64, expression="amount / max(items, 1)"),
        Feature("to_mean", F64, expression="amount / mean if mean > 0 else now"),
    ),
    kind=ViewKind.COMPUTED,
    inputs=(("amount", "basket@1:amount"), ("items", "basket@1:items"), ("mean", "shop@1:m")),
)
VIEWS = (USER, SHOP, BASKET, RATIO)
REFS = [FeatureRef(view.name, 1, each.name) for view in VIEWS for each in view.features]


@given(st.lists(st.sampled_from(REFS), min_size=1, unique=True))
def test_needs_are_those_of_the_compiled_plan(refs: list[FeatureRef]) -> None:
    plan = compile_plan(refs, VIEWS, [TensorSpec("x", "FP64", (DYNAMIC, len(refs)))])

    needs = request_needs(refs, VIEWS, ["score"])

    assert needs.entities == tuple(dict.fromkeys(view.entity for view in plan.views))
    assert {*plan.names} <= {each.name for each in needs.features}
    assert all(plan.takes_from_request(each.name) for each in needs.features)
    for view, feature in [(v, f) for v in VIEWS for f in v.features]:
        for name in (feature.name, f"{view.name}:{feature.name}", f"{view}:{feature.name}"):
            assert (needs.dtype_of_column(name) is None) == (plan.place_of(name) is None)
    assert needs.request_only <= {"amount", "items"}


def test_only_the_inputs_that_an_expression_names_are_needed() -> None:
    per_item, to_mean = (FeatureRef("ratio", 1, name) for name in ("per_item", "to_mean"))

    assert request_needs([per_item], VIEWS, []).entities == ()
    assert request_needs([to_mean], VIEWS, []).entities == ("shop",)
    assert request_needs([per_item], VIEWS, []).request_only == {"amount", "items"}


def test_an_input_of_an_expression_may_come_with_the_request() -> None:
    needs = request_needs([FeatureRef("ratio", 1, "per_item")], VIEWS, [])

    assert RequestFeature("amount", F64) in needs.features


@pytest.mark.parametrize("expression", ["amount +", "(" * 5000, ""])
def test_an_expression_that_is_none_needs_nothing(expression: str) -> None:
    broken = FeatureView(
        "broken",
        1,
        "request",
        (Feature("x", F64, expression=expression),),
        kind=ViewKind.COMPUTED,
        inputs=(("amount", "basket@1:amount"),),
    )

    assert request_needs([FeatureRef("broken", 1, "x")], (broken, BASKET), []).entities == ()
