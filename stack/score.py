"""`understudy score`: one call from the shell, as any client would make it."""

import json
import sys
from collections.abc import Sequence

import grpc
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from understudy.client.answers import Decision, ScoreAnswer
from understudy.client.scoring_client import FeatureScalar, ScoringClient
from understudy.control.wire_enums import LEVEL_OF, shown_name
from understudy.domain.errors import InvalidInputError
from understudy.runtime import exit_codes
from understudy.scoring.v1 import scoring_pb2

OUTPUTS = ("table", "json")
_RETRY_MAY_HELP = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def run_score(
    model: str,
    entities: Sequence[str],
    features: Sequence[str],
    router: str,
    timeout_s: float,
    output: str,
) -> int:
    """Score one unit, print the answer, return the exit code."""
    try:
        if output not in OUTPUTS:
            raise InvalidInputError.of("--output", read=output, accepted="table or json")
        by_type = dict(parse_pair(text, "--entity") for text in entities)
        values = {name: parse_scalar(text) for name, text in _pairs(features, "--feature")}
    except InvalidInputError as error:
        print(f"understudy score: {error}", file=sys.stderr)  # noqa: T201 - for the caller
        return exit_codes.USAGE
    try:
        with ScoringClient(router, timeout_s=timeout_s) as client:
            answer = client.score(model, by_type, features=values, include_digests=True)
    except grpc.RpcError as error:
        status, details = error.code(), error.details()
        line = f"understudy score: router {router}: {status.name}: {details}"
        print(line, file=sys.stderr)  # noqa: T201 - for the caller
        return exit_codes.UNAVAILABLE if status in _RETRY_MAY_HELP else exit_codes.REFUSED
    if output == "json":
        content = MessageToDict(answer.message, preserving_proto_field_name=True)
        print(json.dumps(content, indent=2))  # noqa: T201 - asked for
    else:
        _show(answer)
    return exit_codes.OK


def parse_pair(text: str, option: str) -> tuple[str, str]:
    """Read `NAME=VALUE`.

    Raises:
        InvalidInputError: `text` is not of that form.
    """
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise InvalidInputError.of(option, read=text, accepted="NAME=VALUE")
    return name, value


def parse_scalar(text: str) -> FeatureScalar:
    """Read a feature value: true, false, a whole number, a number, else a text."""
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _pairs(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    return [parse_pair(text, option) for text in texts]


def _show(answer: ScoreAnswer) -> None:
    served, degradation, timing = answer.served_by, answer.degradation, answer.timing
    table = Table(show_header=False, box=None)
    rows = [
        ("score", f"{answer.score:.6f}"),
        ("request", answer.request_id),
        ("served by", _served_by(answer)),
        ("revision", str(served.revision)),
        ("decision", _decision(answer)),
        ("degradation", ", ".join(_degradation(degradation))),
        ("defaulted", ", ".join(degradation.defaulted_features)),
        ("stale", ", ".join(degradation.stale_features)),
        ("missing", ", ".join(degradation.missing_features)),
        ("rule", f"{answer.rule.name} {answer.rule.action}" if answer.rule else ""),
        (
            "time",
            (
                f"{timing.total_us} µs: queue {timing.queue_us}, features {timing.fetch_us}, "
                f"model {timing.infer_us}; {timing.batch_rows} rows in the batch"
            ),
        ),
        ("artifact", served.digests.artifact),
        ("provenance", served.digests.provenance),
    ]
    for name, value in rows:
        if value:
            table.add_row(name, value)
    Console(highlight=False, soft_wrap=True).print(table)


def _decision(answer: ScoreAnswer) -> str:
    match answer.decision:
        case Decision.UNSPECIFIED:
            return ""
        case Decision.BELOW:
            return "below the threshold"
        case Decision.AT_OR_ABOVE:
            return "at or above the threshold"


def _degradation(degradation: scoring_pb2.Degradation) -> list[str]:
    name = scoring_pb2.DegradationReason.Name
    reasons = [shown_name(name(reason), "DEGRADATION_REASON") for reason in degradation.reasons]
    return [f"L{LEVEL_OF[degradation.level].value}", *reasons]


def _served_by(answer: ScoreAnswer) -> str:
    served = answer.served_by
    name = f"{served.model}@{served.version}, {_arm(served.arm)}"
    is_constant = answer.degradation.level == scoring_pb2.DEGRADATION_LEVEL_CONSTANT
    return f"{name} (a declared constant: no model was asked)" if is_constant else name


def _arm(arm: scoring_pb2.Arm.ValueType) -> str:
    return shown_name(scoring_pb2.Arm.Name(arm), "ARM")
