"""Bounds on the numbers of a record: values that satisfy the form and say nothing are findings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import inf

from understudy.provenance.findings import Finding
from understudy.provenance.record import Evaluation, Metric, Parameters, Policy, Run

LONGEST_POLICY = timedelta(days=5 * 366)
LONGEST_WAIVER = timedelta(days=2 * 366)
_LONGEST_RUN = timedelta(days=366)
_SHARE_OF_SPREAD = 0.01
_SHARE_OF_CONSTANT = 0.001
_WIDEST = 10.0  # an interval, in sizes of its value
_WIDEST_OF_ANY = 100.0  # of a metric whose range is unknown
_FEWEST_ROWS = 10
_REACH = 10.0  # of a threshold or fallback score beyond golden answers, in their spreads
_LARGEST = 1e12  # value of a metric whose range is unknown
_SHARES = (
    *(
        "auc",
        "roc_auc",
        "average_precision",
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
    ),
    *("f1", "specificity", "sensitivity", "brier", "ndcg", "reciprocal_rank", "map", "ks", "ece"),
)
_ERRORS = (
    *("mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "mae", "mse"),
    *("rmse", "log_loss", "mape", "pinball_loss", "poisson_deviance"),
)
_OF_A_THRESHOLD = frozenset(
    {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity", "sensitivity"}
)


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a metric can have."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


_ANY = Range(-_LARGEST, _LARGEST)
_RANGES: Mapping[str, Range] = {
    **dict.fromkeys(_SHARES, Range(0.0, 1.0)),
    **dict.fromkeys(_ERRORS, Range(0.0, inf)),
    **dict.fromkeys(("r2", "r2_score"), Range(-inf, 1.0)),
    **dict.fromkeys(("gini", "mcc", "spearman", "pearson", "kendall"), Range(-1.0, 1.0)),
}


def largest_tolerance(lowest: float, highest: float) -> float:
    """Return the largest tolerance of a replay that still tells answers apart.

    Args:
        lowest: least finite answer among the golden vectors.
        highest: greatest finite answer.
    """
    if highest > lowest:
        return _SHARE_OF_SPREAD * (highest - lowest)
    return _SHARE_OF_CONSTANT * max(abs(highest), 1.0)


def tolerance_findings(
    tolerances: Mapping[str, float], lowest: float, highest: float
) -> Iterator[Finding]:
    """Yield tolerances, by field, that would accept the answer of another row."""
    most = largest_tolerance(lowest, highest)
    for field, tolerance in tolerances.items():
        if tolerance > most:
            answers = f"golden answers of {lowest:g} to {highest:g}"
            yield Finding(field, f"{tolerance:g}", f"at most {most:g}, for {answers}")


def score_findings(scores: Mapping[str, float], lowest: float, highest: float) -> Iterator[Finding]:
    """Yield values, by field, that no score of this model comes near."""
    reach = _REACH * ((highest - lowest) or max(abs(highest), 1.0))
    for field, score in scores.items():
        if not lowest - reach <= score <= highest + reach:
            answers = f"golden answers of {lowest:g} to {highest:g}"
            yield Finding(
                field, f"{score:g}", f"{lowest - reach:g} to {highest + reach:g}, for {answers}"
            )


def range_findings(field: str, metric: str, value: float) -> Iterator[Finding]:
    """Yield a value that a metric of this name cannot have."""
    known = _range_of(metric)
    if not known.low <= value <= known.high:
        yield Finding(field, f"{value:g}", f"{known}, for {metric}")


def metric_findings(path: str, metric: Metric) -> Iterator[Finding]:
    """Yield values that the metric cannot have, and intervals that say nothing about it."""
    known, interval = _range_of(metric.name), metric.interval
    yield from range_findings(f"{path}.value", metric.name, metric.value)
    yield from range_findings(f"{path}.interval.low", metric.name, interval.low)
    yield from range_findings(f"{path}.interval.high", metric.name, interval.high)
    read = f"[{interval.low:g}, {interval.high:g}]"
    width, widest = interval.high - interval.low, _widest(metric.value, known)
    if width >= widest:
        yield Finding(f"{path}.interval", read, f"an interval narrower than {widest:g}")
    if width == 0 and metric.value not in {known.low, known.high, 0.0}:
        yield Finding(f"{path}.interval", read, "two ends that differ")
    if metric.n < _FEWEST_ROWS:
        yield Finding(f"{path}.n", str(metric.n), f"at least {_FEWEST_ROWS} rows")


def _widest(value: float, known: Range) -> float:
    if known.high - known.low < _LARGEST:
        return known.high - known.low
    if known.low == 0:
        return _WIDEST * value if value else _WIDEST
    return _WIDEST_OF_ANY * max(abs(value), 1.0)


def threshold_findings(evaluation: Evaluation | None, policy: Policy | None) -> Iterator[Finding]:
    """Yield a missing threshold where metrics or decisions of this record depend on one."""
    if evaluation is None:
        return
    kinds = {_kind_of(metric.name) for metric in evaluation.metrics}
    is_binary = "auc" in kinds or "roc_auc" in kinds  # accuracy of several classes needs none
    needed = sorted(kinds & _OF_A_THRESHOLD)
    if evaluation.threshold is None and needed and is_binary:
        wanted = f"the threshold of {', '.join(needed)}"
        yield Finding("evaluation.threshold", "null", wanted)
    decides = evaluation.threshold is not None
    if policy is not None and policy.decision_threshold is None and decides:
        wanted = "a threshold or a waiver, because evaluation.threshold is not null"
        yield Finding("policy.decision_threshold", "null", wanted)


def horizon_findings(policy: Policy, today: date) -> Iterator[Finding]:
    """Yield a date of revalidation that never comes."""
    yield from far_findings("policy.revalidate_by", policy.revalidate_by, today + LONGEST_POLICY)


def far_findings(field: str, read: date, latest: date) -> Iterator[Finding]:
    if read > latest:
        yield Finding(field, str(read), f"{latest} or before")


def run_findings(run: Run) -> Iterator[Finding]:
    """Yield a run that is longer than any training."""
    if run.ended_at - run.started_at > _LONGEST_RUN:
        read = f"{(run.ended_at - run.started_at).days} days after run.started_at"
        yield Finding("run.ended_at", read, f"at most {_LONGEST_RUN.days} days after it")


def value_findings(parameters: Parameters) -> Iterator[Finding]:
    """Yield parameters of which none has a value."""
    if all(value in (None, "", [], {}) for value in parameters.values.values()):
        wanted = "resolved hyper-parameters, at least one of them with a value"
        yield Finding("parameters.values", "no value", wanted)


def words_findings(field: str, words: Sequence[str]) -> Iterator[Finding]:
    """Yield a command line without a word."""
    if not any(word.strip() for word in words):
        yield Finding(field, "blank arguments", "the arguments as they were given")


def _range_of(name: str) -> Range:
    return _RANGES.get(_kind_of(name), _ANY)


def _kind_of(name: str) -> str:
    """Return the metric without its rank, its class and the manner of its name: ndcg@10, Log-Loss."""
    plain = name.strip().casefold().partition("@")[0]
    return plain.replace("-", "_").replace(" ", "_")
