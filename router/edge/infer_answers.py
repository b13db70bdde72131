"""ModelInfer answers of a deployment: scores and outputs as tensors, the answerer as parameters.

Rows may be answered by different versions. A parameter is a fact that all rows share; the tensors
`served_version`, `served_arm`, `degradation_level`, `decision` and `request_id` have it per row.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import nan
from typing import Any

import numpy as np

from router.edge.infer_requests import (
    DECISION,
    DEGRADATION_LEVEL,
    REQUEST_ID,
    SCORE,
    SERVED_ARM,
    SERVED_VERSION,
    InferAsked,
)
from understudy.control.wire_enums import shown_name
from understudy.oip import inference_pb2 as oip
from understudy.scoring.v1 import scoring_pb2 as pb

_LENGTH = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")
_ONLY_SCORE = (SCORE,)
_NO_RESPONSE = pb.ScoreResponse()


def _names_of(enum: Any, prefix: str) -> dict[int, str]:
    return {number: shown_name(name, prefix) for name, number in enum.items()}


_ARM_NAMES = _names_of(pb.Arm, "ARM")
_LEVEL_NAMES = _names_of(pb.DegradationLevel, "DEGRADATION_LEVEL")
_DECISION_NAMES = _names_of(pb.Decision, "DECISION")

# A fact of a row, by the name of its parameter, and of its tensor if it has one.
_FACTS: dict[str, Callable[[pb.ScoreResponse], int | str]] = {
    SERVED_VERSION: lambda row: row.served_by.version,
    SERVED_ARM: lambda row: _ARM_NAMES[row.served_by.arm],
    DEGRADATION_LEVEL: lambda row: _LEVEL_NAMES[row.degradation.level],
    DECISION: lambda row: _DECISION_NAMES[row.decision],
    REQUEST_ID: lambda row: row.request_id,
    "revision": lambda row: row.served_by.revision,
    "rule": lambda row: row.rule.name,
    "artifact_digest": lambda row: row.served_by.digests.artifact,
    "provenance_digest": lambda row: row.served_by.digests.provenance,
    "deployment_digest": lambda row: row.served_by.digests.deployment,
}
_ABSENT = frozenset({"", "unspecified"})


class JoinedRows:
    """The answer of a request, made of the ScoreResponse of each row in any order of arrival."""

    __slots__ = ("_asked", "_request", "_rows")

    def __init__(self, request: oip.ModelInferRequest, asked: InferAsked) -> None:
        self._request = request
        self._asked = asked
        self._rows = [_NO_RESPONSE] * len(asked.rows)

    def add(self, row: int, answer: bytes) -> None:
        self._rows[row] = pb.ScoreResponse.FromString(answer)

    def whole(self) -> bytes:
        """Return the serialised answer, once all rows are added."""
        return _write_answer(self._request, self._asked, self._rows)


def _write_answer(
    request: oip.ModelInferRequest, asked: InferAsked, rows: Sequence[pb.ScoreResponse]
) -> bytes:
    if len(rows) == 1 and asked.outputs == _ONLY_SCORE and not asked.wants_typed:
        return _single_score(request, rows[0])
    message = _identity(request.model_name, _shared_facts(rows))
    message.id = request.id
    for name in asked.outputs:
        _add_tensor(message, name, rows, is_typed=asked.wants_typed)
    return message.SerializeToString()


def _single_score(request: oip.ModelInferRequest, row: pb.ScoreResponse) -> bytes:
    """Return the answer of one row without outputs: few distinct heads, and four fields more."""
    request_id = row.request_id
    row.ClearField("request_id")
    served = row.served_by
    head = _single_head(
        request.model_name,
        (served.SerializeToString(), row.degradation.level, row.decision, row.rule.name),
    )
    rest = oip.ModelInferResponse(id=request.id, raw_output_contents=[_DOUBLE.pack(row.score)])
    rest.parameters[REQUEST_ID].string_param = request_id
    return head + rest.SerializeToString()  # protobuf merges the fields of both


@lru_cache(maxsize=1024)
def _single_head(model: str, key: tuple[bytes, int, int, str]) -> bytes:
    """Return the part of such answers that they share. `key`: the identity, level, decision, rule."""
    served, level, decision, rule = key
    row = pb.ScoreResponse(served_by=pb.ServedBy.FromString(served))
    row.degradation.level = level  # type: ignore[assignment] # a number of the enum
    row.decision = decision  # type: ignore[assignment] # a number of the enum
    row.rule.name = rule
    message = _identity(model, _shared_facts([row]))
    message.outputs.add(name=SCORE, datatype="FP64", shape=(1, 1))
    return message.SerializeToString()


def _shared_facts(rows: Sequence[pb.ScoreResponse]) -> dict[str, int | str]:
    """Return the facts that all rows share, without absent ones."""
    each = ((name, {fact_of(row) for row in rows}) for name, fact_of in _FACTS.items())
    return {
        name: fact
        for name, facts in each
        if len(facts) == 1 and (fact := facts.pop()) not in _ABSENT
    }


def _identity(model: str, facts: Mapping[str, int | str]) -> oip.ModelInferResponse:
    """Return an answer of `model` that has only its parameters."""
    message = oip.ModelInferResponse(
        model_name=model, model_version=str(facts.get(SERVED_VERSION, ""))
    )
    for name, fact in facts.items():
        if isinstance(fact, int):
            message.parameters[name].int64_param = fact
        else:
            message.parameters[name].string_param = fact
    return message


def _add_tensor(
    message: oip.ModelInferResponse, name: str, rows: Sequence[pb.ScoreResponse], *, is_typed: bool
) -> None:
    fact_of = _FACTS.get(name)
    if name == SCORE:
        _add_numbers(message, name, [[row.score] for row in rows], is_typed=is_typed)
    elif name == SERVED_VERSION:
        versions = [row.served_by.version for row in rows]
        tensor = message.outputs.add(name=name, datatype="INT64", shape=[len(rows), 1])
        if is_typed:
            tensor.contents.int64_contents.extend(versions)
        else:
            message.raw_output_contents.append(np.array(versions, "<i8").tobytes())
    elif fact_of is not None:
        texts = [str(fact_of(row)).encode() for row in rows]
        tensor = message.outputs.add(name=name, datatype="BYTES", shape=[len(rows), 1])
        if is_typed:
            tensor.contents.bytes_contents.extend(texts)
        else:
            raw = b"".join(_LENGTH.pack(len(each)) + each for each in texts)
            message.raw_output_contents.append(raw)
    elif any(values := [_values_of(row, name) for row in rows]):
        _add_numbers(message, name, values, is_typed=is_typed)


def _add_numbers(
    message: oip.ModelInferResponse,
    name: str,
    values: Sequence[Sequence[float]],
    *,
    is_typed: bool,
) -> None:
    """Add a tensor of numbers; a row without values, or with fewer than others, has NaN there."""
    width = max(len(each) for each in values)
    flat = [number for each in values for number in (*each, *[nan] * (width - len(each)))]
    tensor = message.outputs.add(name=name, datatype="FP64", shape=[len(values), width])
    if is_typed:
        tensor.contents.fp64_contents.extend(flat)
    else:
        message.raw_output_contents.append(struct.pack(f"<{len(flat)}d", *flat))


def _values_of(row: pb.ScoreResponse, name: str) -> Sequence[float]:
    return next((output.values for output in row.outputs if output.name == name), ())
