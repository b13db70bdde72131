"""`understudy score`: one call from the shell, like that of any client."""

import json
from collections.abc import Mapping, Sequence

import grpc

from understudy.client.answers import Decision, ScoreAnswer
from understudy.client.request_values import FeatureScalar
from understudy.client.scoring_client import ScoringClient
from understudy.control.wire_enums import LEVEL_OF, shown_name
from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.grpc_errors import error_of_call
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.message_values import message_value
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen
from understudy.scoring.v1 import scoring_pb2


def run_score(
    model: str,
    entities: Sequence[str],
    features: Sequence[str],
    router: str,
    timeout_s: float,
    output: Format,
) -> None:
    """Score one unit and print the answer.

    Raises:
        InvalidInputError: an entity or a feature is malformed.
        UnderstudyError: the router refuses, or does not answer.
    """
    by_type, texts = parse_pairs({"--entity": entities, "--feature": features})
    values = {name: parse_scalar(text) for name, text in texts.items()}
    try:
        with ScoringClient(router, timeout_s=timeout_s) as client:
            answer = client.score(model, by_type, features=values, include_digests=True)
    except grpc.RpcError as error:
        dependency = f"router {router}"
        raise error_of_call(error, dependency=dependency) from error
    if output is Format.JSON:
        print_json(message_value(answer.message))
    else:
        _show(answer)


def parse_pairs(texts: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Read the pairs of each option.

    Raises:
        InvalidInputError: pairs are malformed; all of them are named.
    """
    read: list[dict[str, str]] = []
    faults: list[Fault] = []
    for option, pairs in texts.items():
        read.append({})
        for pair in pairs:
            try:
                name, value = parse_pair(pair, option)
            except InvalidInputError as error:
                faults += error.faults
            else:
                read[-1][name] = value
    if faults:
        raise InvalidInputError(faults)
    return read


def parse_pair(text: str, option: str) -> tuple[str, str]:
    """Read `NAME=VALUE`.

    Raises:
        InvalidInputError: `text` does not have this form.
    """
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise InvalidInputError.of(option, read=text, accepted="NAME=VALUE")
    return name, value


def parse_scalar(text: str) -> FeatureScalar:
    """Read a feature value: a JSON boolean, number or string, otherwise the text as it is.

    So `01` and `1_000` are texts, as they are no JSON numbers, and `"1"` in quotes is one.
    """
    try:
        value = json.loads(text, parse_constant=str)  # NaN and Infinity
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _show(answer: ScoreAnswer) -> None:
    served, degradation, timing = answer.served_by, answer.degradation, answer.timing
    facts = [
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
    Screen().facts((name, value) for name, value in facts if value)


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
    return f"{name} (a declared constant, without a model)" if is_constant else name


def _arm(arm: scoring_pb2.Arm.ValueType) -> str:
    return shown_name(scoring_pb2.Arm.Name(arm), "ARM")
