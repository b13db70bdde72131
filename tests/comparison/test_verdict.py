"""From intervals and margins to a verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.comparison.decisions.verdict import Outcome, Shown, Verdict, verdict_of
from understudy.domain.margins import NEITHER_IS_BETTER, Margins, Measure
from understudy.statistics.units import Estimate

AUC, BRIER, RECALL, SHARE = Measure.AUC, Measure.BRIER, Measure.RECALL, Measure.POSITIVE_SHARE


def judge(measure: Measure, difference: float, error: float, margin: float = 0.02) -> Verdict:
    shown = {measure: Shown(Estimate(difference, error**2, 5_000.0), 5_000)}
    if measure in NEITHER_IS_BETTER:  # it can only guard: another measure is equivalent
        shown[AUC] = Shown(Estimate(0.0, 1e-8, 5_000.0), 5_000)
        margins = Margins.of_sizes(AUC, {measure: margin, AUC: 0.02})
    else:
        margins = Margins.of_sizes(measure, {measure: margin})
    return verdict_of(shown, margins, threshold=0.5, confidence=0.95)


@pytest.mark.parametrize(
    ("measure", "difference", "error", "outcome"),
    [
        (AUC, 0.001, 0.001, Outcome.EQUIVALENT),
        (AUC, 0.04, 0.005, Outcome.BETTER),
        (AUC, -0.04, 0.005, Outcome.WORSE),
        (AUC, 0.01, 0.03, Outcome.INCONCLUSIVE),
        (BRIER, -0.04, 0.005, Outcome.BETTER),  # lower is better
        (BRIER, 0.04, 0.005, Outcome.WORSE),
        (SHARE, 0.04, 0.005, Outcome.WORSE),  # neither direction is better
        (SHARE, -0.04, 0.005, Outcome.WORSE),
        (SHARE, 0.001, 0.001, Outcome.EQUIVALENT),
    ],
)
def test_an_interval_and_a_margin_make_a_conclusion(
    measure: Measure, difference: float, error: float, outcome: Outcome
) -> None:
    assert judge(measure, difference, error).judged[0].outcome is outcome


@given(difference=st.floats(-0.2, 0.2), error=st.floats(1e-4, 0.1), margin=st.floats(1e-3, 0.1))
def test_exchanging_the_versions_exchanges_better_and_worse(
    difference: float, error: float, margin: float
) -> None:
    exchanged = {Outcome.BETTER: Outcome.WORSE, Outcome.WORSE: Outcome.BETTER}

    there = judge(AUC, difference, error, margin).judged[0].outcome
    back = judge(AUC, -difference, error, margin).judged[0].outcome

    assert back is exchanged.get(there, there)


@given(difference=st.floats(-0.2, 0.2), error=st.floats(1e-4, 0.1), margin=st.floats(1e-3, 0.1))
def test_the_rows_that_are_needed_are_more_than_there_are_and_missing_once_concluded(
    difference: float, error: float, margin: float
) -> None:
    judged = judge(AUC, difference, error, margin).judged[0]

    if judged.outcome is not Outcome.INCONCLUSIVE:
        assert judged.rows_needed is None
    elif judged.rows_needed is not None:
        assert judged.rows_needed >= judged.rows


def both(first: Outcome, second: Outcome) -> Verdict:
    differences = {
        Outcome.BETTER: (0.04, 0.004),
        Outcome.WORSE: (-0.04, 0.004),
        Outcome.EQUIVALENT: (0.0, 0.002),
        Outcome.INCONCLUSIVE: (0.0, 0.1),
    }
    shown = {
        measure: Shown(Estimate(differences[o][0], differences[o][1] ** 2, 5_000.0), 5_000)
        for measure, o in ((AUC, first), (RECALL, second))
    }
    margins = Margins.of_sizes(AUC, {AUC: 0.02, RECALL: 0.02})
    return verdict_of(shown, margins, threshold=0.7, confidence=0.95)


@pytest.mark.parametrize(
    ("primary", "guard", "outcome"),
    [
        (Outcome.BETTER, Outcome.EQUIVALENT, Outcome.BETTER),
        (Outcome.BETTER, Outcome.BETTER, Outcome.BETTER),
        (Outcome.BETTER, Outcome.WORSE, Outcome.WORSE),
        (Outcome.BETTER, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        (Outcome.EQUIVALENT, Outcome.EQUIVALENT, Outcome.EQUIVALENT),
        (Outcome.EQUIVALENT, Outcome.BETTER, Outcome.EQUIVALENT),
        (Outcome.INCONCLUSIVE, Outcome.WORSE, Outcome.WORSE),
        (Outcome.INCONCLUSIVE, Outcome.BETTER, Outcome.INCONCLUSIVE),
    ],
)
def test_a_guard_may_only_hold_a_shadow_back(
    primary: Outcome, guard: Outcome, outcome: Outcome
) -> None:
    found = both(primary, guard)

    assert [each.outcome for each in found.judged] == [primary, guard]
    assert found.outcome is outcome
    assert found.threshold == 0.7


def test_a_refusal_withdraws_any_conclusion() -> None:
    shown = {AUC: Shown(Estimate(0.04, 1e-6, 5_000.0), 5_000)}

    found = verdict_of(
        shown,
        Margins.of_sizes(AUC, {AUC: 0.02}),
        threshold=None,
        confidence=0.95,
        refusals=["rows were lost"],
    )

    assert (found.outcome, found.why) == (Outcome.INCONCLUSIVE, "rows were lost")


def test_a_measure_that_could_not_be_computed_is_inconclusive() -> None:
    found = verdict_of({}, Margins.of_sizes(AUC, {AUC: 0.02}), threshold=None, confidence=0.95)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.judged[0].why == "it cannot be computed from these rows"


def test_a_few_units_allow_no_conclusion_however_many_rows_they_have() -> None:
    shown = {AUC: Shown(Estimate(0.04, 1e-6, 3.2), 1_000_000)}

    [judged] = verdict_of(
        shown, Margins.of_sizes(AUC, {AUC: 0.02}), threshold=None, confidence=0.95
    ).judged

    assert judged.outcome is Outcome.INCONCLUSIVE
    assert "3.2 effective units" in judged.why


def test_no_difference_in_few_rows_is_not_equivalence() -> None:
    def of(units: float) -> Outcome:
        shown = {RECALL: Shown(Estimate(0.0, 0.0, units), int(units))}
        margins = Margins.of_sizes(RECALL, {RECALL: 0.02})
        return verdict_of(shown, margins, threshold=0.5, confidence=0.95).outcome

    assert of(30.0) is Outcome.INCONCLUSIVE
    assert of(3_000.0) is Outcome.EQUIVALENT
