"""Margins: each fault named, and none that could not act."""

from typing import Any

import pytest

from understudy.domain.errors import InvalidInputError
from understudy.domain.margins import Costs, Margins, Measure, idle_margins, read_margins

NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ({}, ["primary: read None", "margins: read None"]),
        ({"primary": "gini", "margins": {"auc": 0.1}}, ["primary: read 'gini'"]),
        ({"primary": "auc", "margins": {"gini": 0.1}}, ["margins.gini: read 'gini'"]),
        ({"primary": "auc", "margins": {"auc": True}}, ["margins.auc: read True"]),
        ({"primary": "auc", "margins": {"auc": NAN}}, ["margins.auc: read nan"]),
        ({"primary": "auc", "margins": {"auc": 0}}, ["margins.auc: read 0.0"]),
        ({"primary": "auc", "margins": {"brier": 1}}, ["a margin of auc, the primary"]),
        ({"primary": "mean_score", "margins": {"mean_score": 1}}, ["primary: read mean_score"]),
        ({"primary": "auc", "margins": {"auc": 1}, 7: 8}, ["7: read 8"]),
        (
            {"primary": "auc", "margins": {"auc": 1}, "costs": {"false_positive": 1}},
            ["costs: read"],
        ),
        (
            {
                "primary": "auc",
                "margins": {"auc": 1},
                "costs": {"false_positive": 1, "false_negative": 2},
            },
            ["no costs without a margin of cost"],
        ),
    ],
)
def test_a_fault_names_its_field_and_the_accepted_values(
    text: dict[Any, Any], told: list[str]
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        read_margins(text)

    for part in told:
        assert part in str(raised.value)


def test_a_whole_file_is_read() -> None:
    found = read_margins(
        {
            "primary": "cost",
            "margins": {"cost": 1, "positive_share": 0.01},
            "costs": {"false_positive": 1, "false_negative": 25},
        }
    )

    assert found.of == {Measure.COST: 1.0, Measure.POSITIVE_SHARE: 0.01}
    assert found.costs == Costs(1.0, 25.0)


@pytest.mark.parametrize("costs", [(-1.0, 1.0), (NAN, 1.0), (0.0, 0.0)])
def test_costs_that_cannot_count_are_refused(costs: tuple[float, float]) -> None:
    with pytest.raises(InvalidInputError, match="costs"):
        Costs(*costs)


def test_a_margin_of_a_decision_is_idle_without_a_threshold() -> None:
    margins = Margins.of_sizes(Measure.COST, {Measure.COST: 1, Measure.AUC: 0.1})

    faults = idle_margins(margins, has_threshold=False, has_costs=True)
    assert [(each.field, each.read) for each in faults] == [("margins.cost", "no threshold")]
    faults = idle_margins(margins, has_threshold=True, has_costs=False)
    assert [(each.field, each.read) for each in faults] == [("margins.cost", "no costs")]
    assert idle_margins(margins, has_threshold=True, has_costs=True) == []
