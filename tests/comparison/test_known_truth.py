"""Verdicts on data whose truth is known: right ones, refusals, and few false alarms."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from understudy.comparison.compare import shown_of
from understudy.comparison.decisions.slicing import Codes
from understudy.comparison.decisions.verdict import Outcome, Verdict, verdict_of
from understudy.comparison.evidence.arm_rows import NO_ROWS, ArmEvidence, AssignedRows
from understudy.comparison.evidence.rows import PairedRows, SentRows
from understudy.comparison.plan import Plan
from understudy.comparison.sections.arms import compare_arms
from understudy.comparison.sections.coverage import coverage_of
from understudy.comparison.sections.decisions import compare_decisions
from understudy.comparison.sections.quality import compare_quality
from understudy.comparison.sections.scores import compare_scores
from understudy.comparison.sections.slices import compare_slices
from understudy.domain.margins import Margins, Measure
from understudy.statistics.sample_ratio import StepOfUnits

Floats = NDArray[np.float64]
MARGINS = Margins.of_sizes(
    Measure.AUC, {Measure.AUC: 0.02, Measure.RECALL: 0.05, Measure.BRIER: 0.01}
)
PLAN = Plan(threshold=0.5, margins=MARGINS)
RUNS = 200
MOST_FALSE_ALARMS = 20  # of RUNS at a nominal 5 %: three standard errors above


@dataclass(frozen=True)
class World:
    """Rows of units; the champion sees the truth through noise."""

    random: np.random.Generator
    rows: int
    unit: NDArray[np.int64]
    truth: NDArray[np.bool_]
    champion: Floats
    _noise: Floats = field(repr=False)

    def seen(self, signal: float = 1.0, own_noise: float = 0.15) -> Floats:
        """Return another score of the same rows, with the champion's noise in part."""
        noise = 0.5 * self._noise + 0.5 * self.random.normal(0, own_noise * 2, self.rows)
        return np.clip(0.3 + 0.35 * signal * self.truth + noise, 0, 1)


def world(seed: int, rows: int = 2_000, *, positives: float = 0.3, rows_each: int = 2) -> World:
    random = np.random.default_rng(seed)
    unit = np.arange(rows) // rows_each
    truth = random.random(rows) < positives
    noise = random.normal(0, 0.15, rows)
    champion = np.clip(0.3 + 0.35 * truth + noise, 0, 1)
    return World(random, rows, unit, truth, champion, noise)


def verdict(
    one: World, shadow: Floats, *, is_lost: NDArray[np.bool_] | None = None, plan: Plan = PLAN
) -> Verdict:
    lost = np.zeros(one.rows, bool) if is_lost is None else is_lost
    label = one.truth.astype(np.float64)
    day = np.zeros(one.rows, np.int64)
    rows = PairedRows(one.champion, shadow, unit=one.unit, label=label, day=day).where(~lost)
    coverage = coverage_of(
        SentRows(lost, one.champion, one.unit, label), least_kept=plan.least_kept
    )
    assert plan.margins is not None
    assert Measure.MEAN_SCORE not in plan.margins.of  # so the section of scores is not asked for
    shown = shown_of(None, compare_decisions(rows, plan), compare_quality(rows, plan))
    return verdict_of(
        shown,
        plan.margins,
        threshold=plan.threshold,
        confidence=0.95,
        refusals=coverage.refusals,
    )


@pytest.mark.long
def test_shadows_that_differ_only_by_noise_are_seldom_called_better_or_worse() -> None:
    # Both scores are the truth plus noise of one law: neither is better.
    def run(seed: int) -> Verdict:
        one = world(seed, 1_000)
        fresh = one.random.normal(0, 0.15, one.rows)
        return verdict(one, np.clip(0.3 + 0.35 * one.truth + fresh, 0, 1))

    found = [run(seed).outcome for seed in range(RUNS)]

    assert found.count(Outcome.WORSE) + found.count(Outcome.BETTER) <= MOST_FALSE_ALARMS


def test_an_equal_shadow_is_equivalent() -> None:
    one = world(1, 20_000)

    assert verdict(one, one.champion).outcome is Outcome.EQUIVALENT


def test_a_recalibrated_shadow_ranks_alike_and_is_worse_where_decisions_change() -> None:
    one = world(2, 20_000)

    found = verdict(one, one.champion**2)

    outcomes = {each.measure: each.outcome for each in found.judged}
    assert outcomes[Measure.AUC] is Outcome.EQUIVALENT
    assert outcomes[Measure.RECALL] is Outcome.WORSE
    assert found.outcome is Outcome.WORSE


def test_a_shadow_that_ranks_worse_is_worse() -> None:
    one = world(3, 20_000)

    assert verdict(one, one.seen(signal=0.6)).outcome is Outcome.WORSE


def test_a_better_shadow_is_better() -> None:
    one = world(4, 20_000)
    shadow = np.clip(0.3 + 0.35 * one.truth + one.random.normal(0, 0.11, one.rows), 0, 1)

    assert verdict(one, shadow).outcome is Outcome.BETTER


def test_a_better_area_with_a_worse_threshold_is_worse() -> None:
    one = world(5, 20_000)
    shadow = np.clip(0.2 + 0.35 * one.truth + one.random.normal(0, 0.11, one.rows), 0, 1)

    found = verdict(one, shadow)

    outcomes = {each.measure: each.outcome for each in found.judged}
    assert outcomes[Measure.AUC] is Outcome.BETTER
    assert outcomes[Measure.RECALL] is Outcome.WORSE
    assert (found.outcome, found.threshold) == (Outcome.WORSE, 0.5)


def test_a_shadow_that_fails_where_it_errs_is_not_called_better() -> None:
    def run(seed: int) -> Verdict:
        one = world(seed, 4_000)
        shadow = one.seen(signal=0.6)
        error = np.abs(shadow - one.truth)
        return verdict(one, shadow, is_lost=error > np.quantile(error, 0.92))

    found = [run(seed) for seed in range(8)]

    assert all(each.outcome is Outcome.INCONCLUSIVE for each in found)
    assert all("rows were lost by their" in each.why for each in found)


def test_a_loss_by_chance_allows_a_conclusion() -> None:
    one = world(6, 20_000)

    found = verdict(one, one.champion, is_lost=one.random.random(one.rows) < 0.05)

    assert found.outcome is Outcome.EQUIVALENT


@pytest.mark.long
def test_a_loss_by_chance_is_seldom_called_a_dependent_one() -> None:
    refusals = 0
    for seed in range(RUNS):
        one = world(seed, 1_000)
        lost = one.random.random(one.rows) < 0.08
        sent = SentRows(lost, one.champion, one.unit, one.truth.astype(np.float64))
        refusals += bool(coverage_of(sent, least_kept=0.5).refusals)

    assert refusals <= MOST_FALSE_ALARMS


def test_one_unit_with_most_rows_decides_nothing() -> None:
    one = world(7, 5_000)
    unit = np.where(np.arange(one.rows) < 4_000, 0, one.unit)
    dominated = World(one.random, one.rows, unit, one.truth, one.champion, one.champion)

    found = verdict(dominated, np.clip(dominated.champion + 0.001, 0, 1))

    assert found.outcome is Outcome.INCONCLUSIVE
    assert all("effective units" in each.why for each in found.judged)


@pytest.mark.long
def test_rare_positives_are_seldom_called_better_or_worse() -> None:
    def run(seed: int) -> Verdict:
        one = world(seed, 1_000, positives=0.02, rows_each=1)
        fresh = one.random.normal(0, 0.15, one.rows)
        return verdict(one, np.clip(0.3 + 0.35 * one.truth + fresh, 0, 1))

    found = [run(seed).outcome for seed in range(RUNS)]

    assert found.count(Outcome.WORSE) + found.count(Outcome.BETTER) <= MOST_FALSE_ALARMS
    assert Outcome.EQUIVALENT not in found


@pytest.mark.long
@pytest.mark.timeout(1_200)  # 2,400 verdicts: half a minute of CPU, and busy machines are slow
def test_a_verdict_that_is_asked_for_every_day_is_seldom_wrong_on_any_day() -> None:
    ever, looks = 0, 12
    for seed in range(RUNS):
        one = world(seed, 1_200)
        fresh = one.random.normal(0, 0.15, one.rows)
        shadow = np.clip(0.3 + 0.35 * one.truth + fresh, 0, 1)
        for look in range(1, looks + 1):
            end = one.rows * look // looks
            part = World(
                one.random, end, one.unit[:end], one.truth[:end], one.champion[:end], fresh[:end]
            )
            if verdict(part, shadow[:end]).outcome in {Outcome.WORSE, Outcome.BETTER}:
                ever += 1
                break

    assert ever <= MOST_FALSE_ALARMS


def worse_on_one_slice(seed: int) -> tuple[World, Floats, NDArray[np.str_]]:
    """Return a shadow that equals the champion, but for noise on a tenth of the rows."""
    one = world(seed, 8_000, rows_each=1)
    segment = one.random.choice(["a", "b", "c", "d"], one.rows, p=[0.5, 0.3, 0.1, 0.1])
    noise = np.where(segment == "c", one.random.normal(0, 0.25, one.rows), 0.0)
    return one, np.clip(one.champion + noise, 0, 1), segment


def coded(segment: NDArray[np.str_]) -> Codes:
    values, places = np.unique(segment, return_inverse=True)
    return places.astype(np.int8), tuple(values.tolist())


def slices_of(
    one: World, shadow: Floats, segment: NDArray[np.str_]
) -> dict[str, tuple[float | None, bool]]:
    label = one.truth.astype(np.float64)
    rows = PairedRows(
        one.champion, shadow, unit=one.unit, label=label, day=np.zeros(one.rows, np.int64)
    )
    found = compare_slices(rows, {"segment": coded(segment)}, confidence=0.95)
    assert found is not None
    return {
        each.value: (each.difference.estimate, each.is_shown) for each in found.declared.findings
    }


def test_a_shadow_that_is_worse_on_one_slice_is_worse_there_alone() -> None:
    found = slices_of(*worse_on_one_slice(8))

    assert [value for value, (_, is_shown) in found.items() if is_shown] == ["c"]
    assert found["c"][0] is not None
    assert found["c"][0] > 0


def test_fifths_of_the_score_show_no_difference_between_versions_of_one_law() -> None:
    false = 0
    for seed in range(20):
        one = world(seed, 1_000)
        fresh = np.clip(0.3 + 0.35 * one.truth + one.random.normal(0, 0.15, one.rows), 0, 1)
        label, segment = one.truth.astype(np.float64), coded(np.full(one.rows, "a"))
        rows = PairedRows(
            one.champion, fresh, unit=one.unit, label=label, day=np.zeros(one.rows, np.int64)
        )
        found = compare_slices(rows, {"segment": segment}, confidence=0.95)
        assert found is not None
        assert len(found.found.findings) == 5
        false += any(each.is_shown for each in found.found.findings)

    assert false <= 4  # of 20 at a nominal 5 %: three standard errors above


@pytest.mark.long
def test_equal_slices_are_seldom_called_different() -> None:
    false = 0
    for seed in range(RUNS):
        one = world(seed, 1_000)
        fresh = np.clip(0.3 + 0.35 * one.truth + one.random.normal(0, 0.15, one.rows), 0, 1)
        segment = one.random.choice(["a", "b", "c", "d"], one.rows)
        false += any(is_shown for _, is_shown in slices_of(one, fresh, segment).values())

    assert false <= MOST_FALSE_ALARMS


@pytest.mark.long
def test_intervals_hold_the_truth_as_often_as_they_claim() -> None:
    """The truth of each difference is 0, because both scores are of one law."""
    held: Counter[str] = Counter()
    for seed in range(RUNS):
        one = world(seed, 1_000)
        fresh = np.clip(0.3 + 0.35 * one.truth + one.random.normal(0, 0.15, one.rows), 0, 1)
        label = one.truth.astype(np.float64)
        rows = PairedRows(
            one.champion, fresh, unit=one.unit, label=label, day=np.zeros(one.rows, np.int64)
        )
        quality = compare_quality(rows, PLAN)
        assert quality is not None
        classes = quality.classes
        assert classes is not None
        assert classes.auc is not None
        assert classes.calibration is not None
        acting = compare_decisions(rows, PLAN)[0]
        decisions = acting.quality
        scores = compare_scores(rows, confidence=0.95)
        assert decisions is not None
        assert scores is not None
        for name, number in (
            ("auc", classes.auc.difference),
            ("brier", classes.calibration.brier.difference),
            ("recall", decisions.recall.difference),
            ("precision", decisions.precision.difference),
            ("false positive rate", decisions.false_positive_rate.difference),
            ("log loss", classes.calibration.log_loss.difference),
            ("mean score", scores.mean.difference),
            ("positive share", acting.flips.positive_share.difference),
        ):
            assert number.lower is not None
            assert number.upper is not None
            held[name] += number.lower <= 0 <= number.upper

    # 190 of 200 less, and plus, three binomial standard errors.
    assert all(181 <= count <= 199 for count in held.values()), held


@pytest.mark.long
def test_equal_arms_are_seldom_called_different_when_the_weight_rises() -> None:
    """Sticky units with requests of their own number, and a value that drifts with the weight."""
    false = mismatches = 0
    for seed in range(RUNS):
        found = compare_arms(equal_arms(seed), Plan())
        interval = found.measures["mean score"].difference
        assert interval.lower is not None
        assert interval.upper is not None
        false += not interval.lower <= 0 <= interval.upper
        mismatches += bool(found.refusals)

    assert false <= MOST_FALSE_ALARMS
    assert mismatches <= 2  # of 200 at 0.1 %


def equal_arms(seed: int) -> ArmEvidence:
    random = np.random.default_rng(seed)
    units = 1_000
    latent, own, first = random.random(units), random.normal(0, 0.2, units), random.random(units)
    unit, is_challenger, assigned_bp, score, steps = [], [], [], [], []
    seen = np.zeros(units, np.bool_)
    for weight, level in ((0.1, 0.2), (0.25, 0.4), (0.5, 0.7)):
        in_challenger = latent < weight
        rows = np.where(first < 0.4 + weight, random.geometric(0.3, units), 0)
        of_row = np.repeat(np.arange(units), rows)
        unit.append(of_row)
        is_challenger.append(in_challenger[of_row])
        weight_bp = round(weight * 10_000)
        assigned_bp.append(np.where(in_challenger[of_row], weight_bp, 10_000 - weight_bp))
        score.append(level + own[of_row] + random.normal(0, 0.1, of_row.size))
        new = (rows > 0) & ~seen
        hits = int((new & in_challenger).sum())
        steps.append(StepOfUnits(int(new.sum()) - hits, hits, weight))
        seen |= new
    order = np.argsort(np.concatenate(unit), kind="stable")
    nothing = np.zeros(order.size)
    rows_of_arms = AssignedRows(
        is_challenger=np.concatenate(is_challenger)[order],
        assigned_bp=np.concatenate(assigned_bp)[order].astype(np.uint16),
        score=np.concatenate(score)[order],
        label=np.full(order.size, np.nan),
        level=nothing.astype(np.uint8),
        total_us=nothing.astype(np.uint32),
        day=nothing.astype(np.int32),
        unit=np.concatenate(unit)[order],
    )
    return ArmEvidence(NO_ROWS, NO_ROWS, (), tuple(steps), 0, rows_of_arms)
