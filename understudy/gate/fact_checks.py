"""Checks across a record's groups and the model's file: one fact, said the same everywhere."""

from collections.abc import Iterator, Mapping
from typing import Any

from understudy.domain.versions import ScoreOutput
from understudy.gate.bounds import score_findings, tolerance_findings
from understudy.provenance.artifact_record import Artifact
from understudy.provenance.findings import NOTHING, Finding, shown
from understudy.provenance.inspection import Inspection
from understudy.provenance.producer import (
    UNNAMED,
    names_of_package,
    names_producer,
    package_of_estimator,
    package_of_producer,
)
from understudy.provenance.record import Environment, Evaluation, Parameters, Parent, Policy


def fact_findings(
    groups: Mapping[str, Any], inspection: Inspection, score: ScoreOutput
) -> Iterator[Finding]:
    """Yield facts of the record that contradict the model's file, or one another."""
    if (answers := inspection.golden_answers.get(score.output)) is not None:
        yield from _answer_findings(groups, *answers)
    environment: Environment | None = groups.get("environment")
    if environment is not None:
        if inspection.producer:
            yield from _converter_findings(environment, inspection.producer)
        yield from _package_findings(environment, groups.get("parameters"), inspection.producer)


def _answer_findings(groups: Mapping[str, Any], lowest: float, highest: float) -> Iterator[Finding]:
    """Yield tolerances and scores of the record that do not fit the model's golden answers."""
    artifact: Artifact | None = groups.get("artifact")
    parent: Parent | None = groups.get("parent")
    tolerances = {}
    if artifact is not None:
        tolerances["artifact.golden.tolerance"] = artifact.golden.tolerance
    if parent is not None:
        tolerances["parent.conversion.tolerance"] = parent.conversion.tolerance
    yield from tolerance_findings(tolerances, lowest, highest)
    evaluation: Evaluation | None = groups.get("evaluation")
    policy: Policy | None = groups.get("policy")
    scores = {
        "evaluation.threshold": None if evaluation is None else evaluation.threshold,
        "policy.decision_threshold": None if policy is None else policy.decision_threshold,
        "policy.fallback_score": None if policy is None else policy.fallback_score,
    }
    given = {field: each for field, each in scores.items() if isinstance(each, float)}
    yield from score_findings(given, lowest, highest)


def _converter_findings(environment: Environment, producer: str) -> Iterator[Finding]:
    converter = environment.converter
    if not names_producer(converter.name, converter.version, producer):
        read = f"{converter.name} {converter.version}"
        yield Finding("environment.converter", read, f"{shown(producer)}, as in the model")


def _package_findings(
    environment: Environment, parameters: Parameters | None, producer: str
) -> Iterator[Finding]:
    packages = {name.casefold(): version for name, version in environment.packages.items()}
    field = "environment.packages"
    claimed = packages.get("onnxruntime", environment.onnxruntime)
    if claimed != environment.onnxruntime:
        wanted = f"{environment.onnxruntime}, as environment.onnxruntime"
        yield Finding(f"{field}.onnxruntime", claimed, wanted)
    estimator = "" if parameters is None else str(parameters.values.get("estimator", ""))
    needed = {package_of_estimator(estimator): f"of the estimator {estimator}"}
    if producer and producer != UNNAMED:
        converter = environment.converter
        name = package_of_producer(converter.name)
        needed[name] = "the converter"
        found = packages.get(name, converter.version)
        if names_producer(name, converter.version, producer) and found != converter.version:
            wanted = f"{converter.version}, as environment.converter"
            yield Finding(f"{field}.{name}", found, wanted)
    for name, why in needed.items():
        if name and not names_of_package(name) & packages.keys():
            yield Finding(f"{field}.{name}", NOTHING, f"the version of {name}, {why}")
