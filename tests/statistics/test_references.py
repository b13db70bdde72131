"""Every public statistic against scipy or scikit-learn, or the recorded numbers of statsmodels.

A new function of `understudy/statistics` fails here until it has a counterpart, or the reason for
having none. The rows are of one unit each: for independent rows the libraries have formulas.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

import understudy.statistics
from tests.statistics import statsmodels_numbers
from understudy.statistics.arms import (
    ArmEstimates,
    OfBothArms,
    arm_auc,
    arm_estimates,
    arm_mean,
    arm_share,
)
from understudy.statistics.calibration import calibration_of, log_losses, reliability_of
from understudy.statistics.class_curves import class_curves
from understudy.statistics.decisions import decision_flips, decision_quality, mcnemar
from understudy.statistics.distributions import (
    Sample,
    distribution_shift,
    ks_by_chance,
    ks_distance,
    psi_by_chance,
    quantiles_of_counts,
)
from understudy.statistics.errors import compare_errors
from understudy.statistics.intervals import (
    Interval,
    difference_interval,
    exact_interval,
    interval_of,
    share_interval,
)
from understudy.statistics.loss import loss_dependence
from understudy.statistics.measures import Number, paired_mean, paired_share
from understudy.statistics.paired import (
    absolute_quantiles,
    agreement,
    correlate,
    mean_of,
    mean_scores,
)
from understudy.statistics.ranking import auc_and_variance, auc_of, compare_auc
from understudy.statistics.ranks import midranks_doubled, wins_doubled
from understudy.statistics.sample_ratio import FALSE_ALARM, StepOfUnits, sample_ratios
from understudy.statistics.slices import Slice, find_differences, paired_difference
from understudy.statistics.units import (
    Estimate,
    OfTotals,
    UnitSums,
    jackknife,
    jackknives,
    ratio,
    units_of,
)

Floats = NDArray[np.float64]
Pairs = Iterator[tuple[Any, Any]]  # ours, theirs
ROWS, THRESHOLD, CUT = 240, 0.5, 100


@dataclass(frozen=True)
class Data:
    labels: NDArray[np.bool_]
    champion: Floats  # rounded, so that there are ties
    shadow: Floats

    @property
    def decisions(self) -> tuple[Floats, Floats]:
        return tuple((each >= THRESHOLD).astype(float) for each in (self.champion, self.shadow))  # type: ignore[return-value]  # two


ALONE = units_of(np.arange(ROWS))


def drawn(seed: int) -> Data:
    random = np.random.default_rng(seed)
    labels = random.random(ROWS) < 0.35
    champion = np.clip(0.3 + 0.3 * labels + random.normal(0, 0.2, ROWS), 0.001, 0.999)
    shadow = np.clip(champion + random.normal(0.02, 0.12, ROWS), 0.001, 0.999)
    return Data(labels, np.round(champion, 2), np.round(shadow, 2))


def ends(found: Number | Interval | None) -> tuple[float | None, float | None]:
    assert found is not None
    return found.lower, found.upper


def of_ttest(found: Any) -> tuple[float, float]:
    return tuple(found.confidence_interval(0.95))


def sums_of(data: Data) -> UnitSums:
    return ALONE.sums(lambda rows: (data.champion[rows], data.shadow[rows]))


def arms_of(first: Floats, second: Floats) -> ArmEstimates:
    """Return both means of two arms, from sums side by side as the comparison has them."""
    sums = np.zeros((ROWS, 4))
    sums[:CUT, :2] = np.column_stack([np.ones(CUT), first[:CUT]])
    sums[CUT:, 2:] = np.column_stack([np.ones(ROWS - CUT), second[CUT:]])

    def mean(start: int) -> OfTotals:
        return OfTotals(
            lambda totals: ratio(totals[..., start + 1], totals[..., start]),
            lambda per_unit: per_unit[:, start],
        )

    return arm_estimates(UnitSums.of(sums), [OfBothArms(mean(0), mean(2))])[0]


def of_arm_mean(data: Data) -> Pairs:
    found = arm_mean(arms_of(data.champion, data.shadow), confidence=0.95)
    welch = stats.ttest_ind(data.shadow[CUT:], data.champion[:CUT], equal_var=False)
    yield ends(found.difference), of_ttest(welch)
    yield ends(found.champion), of_ttest(stats.ttest_1samp(data.champion[:CUT], 0))


def of_arm_share(data: Data) -> Pairs:
    was, would_be = data.decisions
    rows = float(CUT), float(ROWS - CUT)
    found = arm_share(arms_of(was, would_be), rows=rows, confidence=0.95)
    welch = stats.ttest_ind(would_be[CUT:], was[:CUT], equal_var=False)
    yield ends(found.difference), of_ttest(welch)


def of_arm_auc(data: Data) -> Pairs:
    sides = (slice(0, CUT), data.champion), (slice(CUT, ROWS), data.shadow)
    one, two = (
        auc_of(data.labels[part], scores[part], clusters=np.arange(ROWS)[part])
        for part, scores in sides
    )
    expected = [metrics.roc_auc_score(data.labels[part], scores[part]) for part, scores in sides]
    yield arm_auc(one, two).difference.estimate, expected[1] - expected[0]


def of_calibration(data: Data) -> Pairs:
    found = calibration_of(data.labels, data.champion, data.shadow, units=ALONE)
    assert found is not None
    yield found.brier.shadow.estimate, metrics.brier_score_loss(data.labels, data.shadow)
    yield found.log_loss.shadow.estimate, metrics.log_loss(data.labels, data.shadow)
    losses = log_losses(data.labels.astype(np.float64), data.shadow)
    yield losses.mean(), metrics.log_loss(data.labels, data.shadow)
    # Scores at an edge are in the upper bin here, and in the lower one of scikit-learn.
    inside = np.round(data.shadow * 10) / 10 != data.shadow
    part = calibration_of(
        data.labels[inside],
        data.champion[inside],
        data.shadow[inside],
        units=units_of(np.arange(inside.sum())),
    )
    assert part is not None
    shares, means = calibration_curve(data.labels[inside], data.shadow[inside], n_bins=10)
    yield [each.positive_share.estimate for each in part.shadow.bins], shares
    yield [each.mean_score for each in part.shadow.bins], means


def of_reliability(data: Data) -> Pairs:
    inside = np.flatnonzero(np.round(data.shadow * 10) / 10 != data.shadow)
    weights = 1.0 + (inside < CUT)  # a row of weight 2 is two rows
    labels, scores = data.labels[inside], data.shadow[inside]
    found = reliability_of(
        labels, scores, units=units_of(np.arange(inside.size)), weights=weights / weights.mean()
    )
    twice = np.repeat(np.arange(inside.size), weights.astype(int))
    shares, means = calibration_curve(labels[twice], scores[twice], n_bins=10)
    yield [each.positive_share.estimate for each in found.bins], shares
    yield [each.mean_score for each in found.bins], means
    rows = np.histogram(scores[twice], bins=10, range=(0, 1))[0]
    gaps = np.abs(shares - means) * rows[rows > 0]
    yield found.expected_calibration_error, gaps.sum() / twice.size


def of_curves(data: Data) -> Pairs:
    found = class_curves(data.labels, data.champion, units=ALONE)
    rates, recall, _ = metrics.roc_curve(data.labels, data.champion, drop_intermediate=False)
    yield found.roc, np.column_stack([rates, recall])
    precision, recall, _ = metrics.precision_recall_curve(data.labels, data.champion)
    yield found.precision_recall, np.column_stack([recall, precision])[:-1][::-1]
    weights = np.random.default_rng(1).random(ROWS) + 0.5
    weights /= weights.mean()
    given = {"sample_weight": weights}
    found = class_curves(data.labels, data.champion, units=ALONE, weights=weights)
    rates, recall, _ = metrics.roc_curve(
        data.labels, data.champion, drop_intermediate=False, **given
    )
    yield found.roc, np.column_stack([rates, recall])
    precision, recall, _ = metrics.precision_recall_curve(data.labels, data.champion, **given)
    yield found.precision_recall, np.column_stack([recall, precision])[:-1][::-1]


def of_flips(data: Data) -> Pairs:
    found = decision_flips(data.champion, data.shadow, threshold=THRESHOLD, units=ALONE)
    was, would_be = data.decisions
    table = metrics.confusion_matrix(was, would_be)
    up, down = int(table[0, 1]), int(table[1, 0])
    yield (found.to_positive, found.to_negative), (up, down)
    yield found.p_value, stats.binomtest(up, up + down).pvalue
    yield ends(found.positive_share.difference), of_ttest(stats.ttest_rel(would_be, was))


def of_mcnemar(data: Data) -> Pairs:
    was, would_be = data.decisions
    up, down = int(np.sum(would_be > was)), int(np.sum(was > would_be))
    ours = mcnemar([would_be - was], flips=up + down, is_single=True)
    yield ours, stats.binomtest(up, up + down).pvalue


def of_quality(data: Data) -> Pairs:
    found = decision_quality(
        data.labels, data.champion, data.shadow, threshold=THRESHOLD, units=ALONE
    )
    for number, decided in zip(("champion", "shadow"), data.decisions, strict=True):
        true_negative, false_alarm, _, _ = metrics.confusion_matrix(data.labels, decided).ravel()
        yield getattr(found.recall, number).estimate, metrics.recall_score(data.labels, decided)
        precision = metrics.precision_score(data.labels, decided)
        yield getattr(found.precision, number).estimate, precision
        rate = false_alarm / (false_alarm + true_negative)
        yield getattr(found.false_positive_rate, number).estimate, rate


def of_distances(data: Data) -> Pairs:
    expected = stats.ks_2samp(data.champion, data.shadow).statistic
    samples = Sample(data.champion), Sample(data.shadow)
    yield ks_distance(*samples), expected
    found = distribution_shift(*samples)
    yield found.ks_distance, expected
    yield found.ks_by_chance, stats.kstwobign.isf(0.05) * np.sqrt(2 / ROWS)
    # A row of weight 2 is two rows.
    twice = np.concatenate([data.shadow, data.shadow[:CUT]])
    weighted = Sample(data.shadow, (1 + (np.arange(ROWS) < CUT)).astype(np.float64))
    expected = stats.ks_2samp(data.champion, twice).statistic
    yield ks_distance(samples[0], weighted), expected
    yield found.psi_by_chance, stats.chi2.isf(0.05, found.psi_bins - 1) * 2 / ROWS


def of_ks_by_chance(_data: Data) -> Pairs:
    yield ks_by_chance(50, 200), stats.kstwobign.isf(0.05) * np.sqrt(1 / 50 + 1 / 200)


def of_psi_by_chance(_data: Data) -> Pairs:
    yield psi_by_chance(10, 50, 200), stats.chi2.isf(0.05, 9) * (1 / 50 + 1 / 200)


def of_counted_quantiles(data: Data) -> Pairs:
    values, counts = np.unique(data.champion, return_counts=True)
    levels = (0.1, 0.5, 0.99)
    yield quantiles_of_counts(values, counts, levels), np.quantile(data.champion, levels)


def of_errors(data: Data) -> Pairs:
    outcomes = data.labels.astype(np.float64) * 2.5 + 0.1
    found = compare_errors(outcomes, data.champion, data.shadow, units=ALONE)
    absolute = metrics.mean_absolute_error(outcomes, data.shadow)
    yield found.absolute.shadow.estimate, absolute
    yield found.squared.shadow.estimate, metrics.mean_squared_error(outcomes, data.shadow)
    yield ends(found.bias.shadow), of_ttest(stats.ttest_1samp(data.shadow - outcomes, 0))


def of_interval(_data: Data) -> Pairs:
    ours = interval_of(Estimate(0.4, 0.01, 31.0), confidence=0.9)
    yield ends(ours), stats.t.interval(0.9, 30, loc=0.4, scale=0.1)


def of_share_interval(data: Data) -> Pairs:
    for share in (0.0, 1.0):
        ours = share_interval(Estimate(share, 0.0, 80.0), rows=80.0, confidence=0.95)
        exact = stats.binomtest(int(80 * share), 80).proportion_ci(0.95)
        yield ends(ours), tuple(exact)


def of_exact_interval(data: Data) -> Pairs:
    hits = int(data.labels.sum())
    exact = stats.binomtest(hits, ROWS).proportion_ci(0.95)
    yield ends(exact_interval(hits / ROWS, ROWS, confidence=0.95)), tuple(exact)


def of_loss(data: Data) -> Pairs:
    found = loss_dependence(data.labels, data.champion, np.arange(ROWS))
    lost, kept = data.champion[data.labels], data.champion[~data.labels]
    expected = stats.mannwhitneyu(lost, kept).statistic / (lost.size * kept.size)
    yield found.chance.estimate, expected


def of_paired_mean(data: Data) -> Pairs:
    paired = of_ttest(stats.ttest_rel(data.shadow, data.champion))
    found = paired_mean(sums_of(data), mean_of(1), mean_of(2), confidence=0.95)
    yield ends(found.difference), paired
    same = mean_scores(data.champion, data.shadow, units=ALONE)
    yield ends(same.difference), paired


def of_paired_share(data: Data) -> Pairs:
    was, would_be = data.decisions
    sums = ALONE.sums(lambda rows: (was[rows], would_be[rows]))
    found = paired_share(sums, mean_of(1), mean_of(2), confidence=0.95)
    yield ends(found.difference), of_ttest(stats.ttest_rel(would_be, was))


def of_agreement(data: Data) -> Pairs:
    differences = data.shadow - data.champion
    spread = 1.96 * stats.tstd(differences)
    mean = stats.tmean(differences)
    found = agreement(data.champion, data.shadow)
    yield (found.lower, found.upper), (mean - spread, mean + spread)


def of_absolute_quantiles(data: Data) -> Pairs:
    levels = (0.5, 0.9, 0.99)
    distances = np.abs(data.shadow - data.champion)
    theirs = stats.mstats.mquantiles(distances, levels, alphap=1, betap=1)
    yield absolute_quantiles(data.champion, data.shadow, levels), theirs


def of_correlation(data: Data) -> Pairs:
    found = correlate(data.champion, data.shadow)
    yield found.pearson, stats.pearsonr(data.champion, data.shadow).statistic
    yield found.spearman, stats.spearmanr(data.champion, data.shadow).statistic


def of_auc(data: Data) -> Pairs:
    found = compare_auc(data.labels, data.champion, data.shadow, clusters=np.arange(ROWS))
    theirs = [metrics.roc_auc_score(data.labels, each) for each in (data.champion, data.shadow)]
    yield found.areas, theirs
    estimate, number = auc_of(data.labels, data.champion, clusters=np.arange(ROWS))
    yield (estimate.value, number.estimate), (theirs[0], theirs[0])
    yield auc_and_variance(data.labels, data.champion)[0], theirs[0]


def of_ranks(data: Data) -> Pairs:
    yield midranks_doubled(data.champion) / 2, stats.rankdata(data.champion)
    above, below = data.champion[data.labels], data.champion[~data.labels]
    wins = wins_doubled(data.labels, data.champion)
    yield wins[data.labels].sum() / 2, stats.mannwhitneyu(above, below).statistic


def of_sample_ratio(_data: Data) -> Pairs:
    (found,) = sample_ratios([StepOfUnits(480, 540, 0.5)])
    exact = stats.binomtest(540, 1_020).proportion_ci(1 - FALSE_ALARM)
    yield (found.lower, found.upper), tuple(exact)
    prior = 5_000.0, 5_000.0
    log_ratio = stats.betabinom.logpmf(540, 1_020, *prior) - stats.binom.logpmf(540, 1_020, 0.5)
    yield np.log(found.evidence), log_ratio


def of_slices(data: Data) -> Pairs:
    differences = data.shadow - data.champion
    parts = [np.arange(ROWS) % 3 == each for each in range(3)]
    slices = [Slice("third", str(number), chosen) for number, chosen in enumerate(parts)]
    of_slice = paired_difference(differences, ALONE, is_against_rest=False)
    found = find_differences(slices, of_slice).findings
    expected = [stats.ttest_1samp(differences[chosen], 0).pvalue for chosen in parts]
    by_slice = sorted(found, key=lambda each: each.value)
    yield [each.p_value for each in by_slice], expected
    adjusted = stats.false_discovery_control(expected, method="by")
    yield [each.adjusted_p for each in by_slice], adjusted


def of_jackknife(data: Data) -> Pairs:
    expected = stats.sem(data.champion) ** 2
    yield jackknife(sums_of(data), mean_of(1)).variance, expected
    yield [each.variance for each in jackknives(sums_of(data), [mean_of(1)])], [expected]


REFERENCES: dict[str, Callable[[Data], Pairs]] = {
    "arms.arm_estimates": of_arm_mean,
    "arms.arm_mean": of_arm_mean,
    "arms.arm_share": of_arm_share,
    "arms.arm_auc": of_arm_auc,
    "calibration.calibration_of": of_calibration,
    "calibration.log_losses": of_calibration,
    "calibration.reliability_of": of_reliability,
    "class_curves.class_curves": of_curves,
    "decisions.decision_flips": of_flips,
    "decisions.mcnemar": of_mcnemar,
    "decisions.decision_quality": of_quality,
    "distributions.distribution_shift": of_distances,
    "distributions.ks_distance": of_distances,
    "distributions.ks_by_chance": of_ks_by_chance,
    "distributions.psi_by_chance": of_psi_by_chance,
    "distributions.quantiles_of_counts": of_counted_quantiles,
    "errors.compare_errors": of_errors,
    "intervals.interval_of": of_interval,
    "intervals.share_interval": of_share_interval,
    "intervals.exact_interval": of_exact_interval,
    "loss.loss_dependence": of_loss,
    "measures.paired_mean": of_paired_mean,
    "measures.paired_share": of_paired_share,
    "paired.mean_scores": of_paired_mean,
    "paired.agreement": of_agreement,
    "paired.absolute_quantiles": of_absolute_quantiles,
    "paired.correlate": of_correlation,
    "ranking.compare_auc": of_auc,
    "ranking.auc_of": of_auc,
    "ranking.auc_and_variance": of_auc,
    "ranks.midranks_doubled": of_ranks,
    "ranks.wins_doubled": of_ranks,
    "sample_ratio.sample_ratios": of_sample_ratio,
    "slices.find_differences": of_slices,
    "slices.paired_difference": of_slices,
    "units.jackknife": of_jackknife,
    "units.jackknives": of_jackknife,
}
_A_PART = "no statistic: a part of others, which have their counterparts"
NO_COUNTERPART = {
    "calibration.are_probabilities": "no statistic: a question about a range",
    "decisions.matching_threshold": "no library chooses a threshold by a number of alarms",
    "distributions.independent_rows": "no library has it; test_distributions has its formula",
    "distributions.population_stability_index": "no library has it; test_distributions has its sum",
    "groups.share_without_groups": "no library leaves out groups; test_class_curves does by hand",
    "intervals.anytime_interval": "no library has it; test_intervals has its formula and coverage",
    "intervals.difference_interval": "statsmodels only, below",
    "measures.difference_of": _A_PART,
    "measures.number_of": _A_PART,
    "paired.mean_of": _A_PART,
    "paired.paired_differences": _A_PART,
    "ranking.area_interval": "no library has it; test_ranking has the published numbers",
    "slices.inside_minus_rest": _A_PART,
    "ranking.can_compare_auc": "no statistic: a question about classes",
    "units.dot": _A_PART,
    "units.effective_units": "no library has it; test_units has its formula",
    "units.ratio": _A_PART,
    "units.units_of": _A_PART,
    "units.whole_units": _A_PART,
}


def public_statistics() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(understudy.statistics.__path__):
        loaded = importlib.import_module(f"understudy.statistics.{module.name}")
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            if function.__module__ == loaded.__name__ and not name.startswith("_"):
                found.add(f"{module.name}.{name}")
    return found


def test_every_statistic_has_a_counterpart_or_the_reason_for_having_none() -> None:
    assert REFERENCES.keys() | NO_COUNTERPART.keys() == public_statistics()
    assert not REFERENCES.keys() & NO_COUNTERPART.keys()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_statistic_equals_its_counterpart(name: str, seed: int) -> None:
    for ours, theirs in REFERENCES[name](drawn(seed)):
        np.testing.assert_allclose(
            np.array(ours, float), np.array(theirs, float), rtol=1e-9, atol=1e-9
        )


def test_statistics_equal_those_of_statsmodels() -> None:
    theirs = json.loads(statsmodels_numbers.FILE.read_text())
    champion, shadow = np.array(theirs["champion"]), np.array(theirs["shadow"])
    wilson = theirs["wilson_interval_17_of_80"], theirs["wilson_interval_30_of_90"]
    one, two = (Interval(*each) for each in wilson)
    number = np.arange(ROWS)
    slices = [
        Slice("fifth", str(each), number % statsmodels_numbers.FIFTHS == each)
        for each in range(statsmodels_numbers.FIFTHS)
    ]

    flips = decision_flips(champion, shadow, threshold=THRESHOLD, units=ALONE)
    arms = arm_mean(arms_of(champion, shadow), confidence=0.95)
    paired = mean_scores(champion, shadow, units=ALONE)
    between = difference_interval((17 / 80, one), (30 / 90, two))
    of_slice = paired_difference(shadow - champion, ALONE, is_against_rest=False)
    found = find_differences(slices, of_slice).findings
    by_fifth = sorted(found, key=lambda each: each.value)

    for ours, name in (
        (flips.p_value, "mcnemar_exact_p"),
        (ends(arms.difference), "welch_interval"),
        (ends(paired.difference), "paired_interval"),
        (ends(exact_interval(17 / 80, 80, confidence=0.95)), "exact_interval_17_of_80"),
        (ends(between), "newcombe_interval_30_of_90_less_17_of_80"),
        ([each.p_value for each in by_fifth], "p_of_fifths"),
        ([each.adjusted_p for each in by_fifth], "adjusted_p_of_fifths"),
    ):
        np.testing.assert_allclose(
            np.array(ours, float), np.array(theirs[name], float), rtol=1e-9, atol=1e-9, err_msg=name
        )
