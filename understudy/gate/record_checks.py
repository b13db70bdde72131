"""Checks across a record's groups: order of dates, equal hashes, two different people."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from math import isclose
from typing import Any

from understudy.domain.canonical import canonical_json, digest_of_text, exact_integer
from understudy.domain.errors import InvalidInputError
from understudy.domain.versions import VersionRef
from understudy.gate.bounds import (
    LONGEST_WAIVER,
    far_findings,
    horizon_findings,
    metric_findings,
    range_findings,
    run_findings,
    threshold_findings,
    value_findings,
    words_findings,
)
from understudy.gate.submission import Surroundings
from understudy.provenance.fields import Absent, Part
from understudy.provenance.findings import NOTHING, Finding, shown
from understudy.provenance.meaning import is_same_person, says_nothing
from understudy.provenance.record import (
    FROM_SCRATCH,
    ChampionComparison,
    Code,
    Data,
    Dataset,
    Environment,
    Evaluation,
    Metric,
    Parameters,
    Parent,
    People,
    Policy,
    Run,
    Seeds,
)

_SEEDED_SPLITS = frozenset({"random", "stratified"})
_HIGHEST_SEED = 1 << 64
_SAME_WITHIN = 1e-9  # rounding of a difference


def record_findings(groups: dict[str, Any], around: Surroundings, model: str) -> Iterator[Finding]:
    """Yield contradictions within the record and with the registry, in the groups that were read."""
    data: Data | None = groups.get("data")
    people: People | None = groups.get("people")
    checks: dict[str, Callable[[Any], Iterator[Finding]]] = {
        "code": _code_findings,
        "data": lambda group: _data_findings(group, around.now),
        "parameters": _parameter_findings,
        "seeds": _seed_findings,
        "environment": lambda group: _environment_findings(group, around.onnxruntime),
        "run": lambda group: _run_findings(group, around.now),
        "evaluation": lambda group: _evaluation_findings(group, data, around, model),
        "parent": lambda group: _parent_findings(group, around),
        "people": lambda group: _people_findings(group, around.registrant),
    }
    for name, check in checks.items():
        if name in groups:  # unreadable groups already have findings
            yield from check(groups[name])
    yield from threshold_findings(groups.get("evaluation"), groups.get("policy"))
    today = around.now.date()
    if "policy" in groups:
        yield from horizon_findings(groups["policy"], today)
    yield from standing_findings(groups, today)
    yield from _waiver_findings(groups, people, around)


def standing_findings(groups: dict[str, Any], today: date) -> Iterator[Finding]:
    """Yield expired dates as of `today`; also used when a version is to take more traffic."""
    policy = groups.get("policy")
    if isinstance(policy, Policy) and policy.revalidate_by <= today:
        yield Finding("policy.revalidate_by", str(policy.revalidate_by), f"a date after {today}")
    for path, waiver in _waivers(groups):
        if waiver.expires_on < today:
            yield Finding(
                f"{path}.expires_on", str(waiver.expires_on), f"{today} or later, or the field"
            )


def _code_findings(code: Code) -> Iterator[Finding]:
    yield from words_findings("code.command_line", code.command_line)


def _data_findings(data: Data, now: datetime) -> Iterator[Finding]:
    named = {"data.training": data.training, "data.evaluation": data.evaluation}
    named |= {f"data.others[{index}]": each for index, each in enumerate(data.others)}
    for path, dataset in named.items():
        yield from _dataset_findings(path, dataset, now)
    if data.training.content == data.evaluation.content:
        yield Finding(
            "data.evaluation.content", data.evaluation.content, "data other than data.training"
        )
    if data.split.method == "temporal" and data.training.window.to > data.evaluation.window.from_:
        yield Finding(
            "data.training.window.to",
            data.training.window.to.isoformat(),
            f"not after data.evaluation.window.from, {data.evaluation.window.from_.isoformat()}, "
            "or a split method that is not temporal",
        )
    if data.split.method in _SEEDED_SPLITS and data.split.seed is None:
        yield Finding("data.split.seed", "null", f"the seed of the {data.split.method} split")


def _dataset_findings(path: str, dataset: Dataset, now: datetime) -> Iterator[Finding]:
    window = dataset.window
    if window.from_ >= window.to:
        yield Finding(f"{path}.window.to", window.to.isoformat(), "a time after `from`")
    yield from _not_ahead(f"{path}.window.to", window.to, now)
    yield from _not_ahead(f"{path}.label.matured_at", dataset.label.matured_at, now)
    if dataset.label.matured_at < window.from_:
        yield Finding(
            f"{path}.label.matured_at",
            dataset.label.matured_at.isoformat(),
            "a time after the window begins: labels come after their events",
        )


def _parameter_findings(parameters: Parameters) -> Iterator[Finding]:
    digest = digest_of_text(canonical_json(parameters.values))
    if digest != parameters.sha256:
        yield Finding("parameters.sha256", parameters.sha256, f"{digest}, by parameters.values")
    yield from value_findings(parameters)


def _seed_findings(seeds: Seeds) -> Iterator[Finding]:
    if isinstance(seeds.values, Absent):
        return
    if not seeds.values:
        yield Finding("seeds.values", "{}", "at least one seed, or a waiver with the reason")
    for name, seed in seeds.values.items():
        if says_nothing(name):
            yield Finding("seeds.values", shown(name), "the name of each seed")
        # A seed has one spelling: a string of digits only if a JSON number would be rounded.
        if not 0 <= int(seed) < _HIGHEST_SEED or exact_integer(int(seed)) != seed:
            accepted = "an integer from 0 to 2**64 - 1, from 2**53 on as a string"
            yield Finding(f"seeds.values.{name}", shown(seed), accepted)


def _environment_findings(environment: Environment, onnxruntime: str) -> Iterator[Finding]:
    if environment.lockfile_sha256 is None and environment.image_digest is None:
        yield Finding(
            "environment.lockfile_sha256", NOTHING, "sha256 of the lockfile, or image_digest"
        )
    if environment.onnxruntime.split(".")[0] != onnxruntime.split(".", maxsplit=1)[0]:
        yield Finding(
            "environment.onnxruntime",
            environment.onnxruntime,
            f"the major version that scorers run, {onnxruntime.split('.', maxsplit=1)[0]}",
        )


def _run_findings(run: Run, now: datetime) -> Iterator[Finding]:
    if run.ended_at <= run.started_at:
        yield Finding("run.ended_at", run.ended_at.isoformat(), "a time after run.started_at")
    yield from run_findings(run)
    yield from _not_ahead("run.ended_at", run.ended_at, now)


def _evaluation_findings(
    evaluation: Evaluation, data: Data | None, around: Surroundings, model: str
) -> Iterator[Finding]:
    declared = data.evaluation.content if data is not None else None
    for index, metric in enumerate(evaluation.metrics):
        yield from _metric_findings(f"evaluation.metrics[{index}]", metric, data)
    comparison = evaluation.comparison
    if isinstance(comparison, ChampionComparison):
        if declared is not None and comparison.dataset != declared:
            yield Finding(
                "evaluation.comparison.dataset", comparison.dataset, f"{declared}, the same data"
            )
        yield from _difference_findings(comparison, evaluation.metrics)
        yield from _champion_findings(comparison.champion, around, model)
    elif around.champions and around.origin_actor is None:
        yield Finding(
            "evaluation.comparison",
            "first_version",
            f"a comparison with the champion of the time: {model} has had champions "
            f"{sorted(around.champions)}",
        )


def _metric_findings(path: str, metric: Metric, data: Data | None) -> Iterator[Finding]:
    interval = metric.interval
    if not interval.low <= metric.value <= interval.high:
        yield Finding(
            f"{path}.interval",
            f"[{interval.low:g}, {interval.high:g}]",
            f"an interval around the value {metric.value:g}",
        )
    yield from metric_findings(path, metric)
    if data is None:
        return
    evaluated = data.evaluation
    if metric.dataset != evaluated.content:
        wanted = f"{evaluated.content}, as data.evaluation.content"
        yield Finding(f"{path}.dataset", metric.dataset, wanted)
    if metric.n > evaluated.rows:
        yield Finding(f"{path}.n", str(metric.n), f"at most {evaluated.rows}, its rows")


def _difference_findings(
    comparison: ChampionComparison, metrics: tuple[Metric, ...]
) -> Iterator[Finding]:
    field = "evaluation.comparison.champion_value"
    yield from range_findings(field, comparison.metric, comparison.champion_value)
    values = [metric.value for metric in metrics if metric.name == comparison.metric]
    if not values:
        yield Finding(
            "evaluation.comparison.metric", comparison.metric, "one of evaluation.metrics"
        )
    elif not any(
        isclose(comparison.difference, value - comparison.champion_value, abs_tol=_SAME_WITHIN)
        for value in values
    ):
        yield Finding(
            "evaluation.comparison.difference",
            f"{comparison.difference:g}",
            f"{values[0] - comparison.champion_value:g}, the metric minus champion_value",
        )


def _champion_findings(text: str, around: Surroundings, model: str) -> Iterator[Finding]:
    field = "evaluation.comparison.champion"
    yield from _version_findings(field, text, around)
    knows = around.origin_actor is None
    if (
        knows
        and around.champions
        and text not in {f"{model}@{number}" for number in around.champions}
    ):
        yield Finding(
            field, text, f"a version that was champion of {model}: {sorted(around.champions)}"
        )


def _parent_findings(parent: Parent, around: Surroundings) -> Iterator[Finding]:
    if parent.version != FROM_SCRATCH:
        yield from _version_findings("parent.version", parent.version, around)
    conversion = parent.conversion
    if conversion.max_abs_difference > conversion.tolerance:
        yield Finding(
            "parent.conversion.max_abs_difference",
            f"{conversion.max_abs_difference:g}",
            f"at most the tolerance, {conversion.tolerance:g}",
        )


def _version_findings(field: str, text: str, around: Surroundings) -> Iterator[Finding]:
    try:
        ref = VersionRef.parse(text, field)
    except InvalidInputError as error:
        yield from map(Finding.of, error.faults)
        return
    if ref not in around.versions and around.origin_actor is None:
        yield Finding(field, text, "a registered version")


def _people_findings(people: People, actor: str) -> Iterator[Finding]:
    if people.author != actor:
        yield Finding("people.author", people.author, f"{actor}, the identity that registers")
    if any(is_same_person(people.approver, each) for each in (people.author, actor)):
        yield Finding("people.approver", people.approver, "a person other than the author")


def _waiver_findings(
    groups: dict[str, Any], people: People | None, around: Surroundings
) -> Iterator[Finding]:
    authors = [around.registrant] if people is None else [around.registrant, people.author]
    for path, waiver in _waivers(groups):
        if not waiver.absent:
            yield Finding(f"{path}.absent", "false", "true, or the field itself")
        if any(is_same_person(waiver.approved_by, each) for each in authors):
            yield Finding(
                f"{path}.approved_by", waiver.approved_by, "a person other than the author"
            )
        elif around.approvers is not None and waiver.approved_by not in around.approvers:
            wanted = f"the proven name of an approver: {', '.join(sorted(around.approvers))}"
            yield Finding(f"{path}.approved_by", waiver.approved_by, wanted)
        latest = around.now.date() + LONGEST_WAIVER
        yield from far_findings(f"{path}.expires_on", waiver.expires_on, latest)


def _waivers(groups: dict[str, Any]) -> Iterator[tuple[str, Absent]]:
    for group, part in groups.items():
        if isinstance(part, Part):
            for name in type(part).model_fields:
                if isinstance(value := getattr(part, name), Absent):
                    yield f"{group}.{name}", value


def _not_ahead(field: str, at: datetime, now: datetime) -> Iterator[Finding]:
    if at > now:
        yield Finding(field, at.isoformat(), f"not in the future; it is {now.isoformat()}")
