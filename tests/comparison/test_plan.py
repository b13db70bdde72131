"""The plan of a comparison: the threshold that acts, and others."""

from dataclasses import replace
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from understudy.comparison.plan import Plan, completed, thresholds_of, with_thresholds
from understudy.domain.margins import Margins, Measure, WrittenMargins

THRESHOLDS = st.lists(st.sampled_from((0.2, 0.5, 0.8)), max_size=5)
WRITTEN = WrittenMargins(
    margins=Margins.of_sizes(Measure.AUC, {Measure.AUC: 0.02}),
    threshold=0.5,
    revision=3,
    actor="ann",
    at=datetime(2026, 11, 18),  # noqa: DTZ001 - as in the logs
)


@given(asked=THRESHOLDS)
def test_the_deployments_threshold_acts_and_those_given_are_shown_once_each(
    asked: list[float],
) -> None:
    plan = completed(with_thresholds(Plan(), *asked), 9, lambda _: WRITTEN)

    shown = thresholds_of(plan)
    assert plan.threshold == 0.5
    assert set(shown) == {0.5, *asked}
    assert len(shown) == len(set(shown))


@given(asked=THRESHOLDS)
def test_the_first_threshold_acts_where_the_deployment_has_none(asked: list[float]) -> None:
    given_plan = with_thresholds(Plan(), *asked)

    for written in (None, replace(WRITTEN, threshold=None)):
        plan = completed(given_plan, 9, lambda _, written=written: written)  # type: ignore[misc]  # one per turn
        assert thresholds_of(plan) == tuple(dict.fromkeys(asked))
