"""ScoreBatch has what Score has: each field of the messages, enumerated, and each value of an answer."""

from typing import Any

import pytest
from google.protobuf.message import Message

from tests.router.samples import CONTRACT, MODEL, deployment, spec
from tests.router.served import PATIENT_S, Served, open_served
from understudy.domain.deployments import Fallback, Rule, RuleOperator
from understudy.scoring.v1 import scoring_pb2 as pb

LARGE = Rule("large", "amount", RuleOperator.GREATER, 100.0, "review", 1.0)


def shape_of(field: Any) -> tuple[object, ...]:
    """Return how a field is written: its type, presence, and the message or enum in it."""
    kind = field.message_type or field.enum_type
    return (field.type, field.is_repeated, field.has_presence, kind and kind.full_name)


def shapes_of(message: type[Message]) -> dict[str, tuple[object, ...]]:
    return {field.name: shape_of(field) for field in message.DESCRIPTOR.fields}


def test_a_batch_takes_every_field_of_a_score() -> None:
    single, batch = shapes_of(pb.ScoreRequest), shapes_of(pb.ScoreBatchRequest)
    maps = {"entities", "features"}  # each has an entry type of its own

    assert single.keys() <= batch.keys()
    assert {name: batch[name] for name in single if name not in maps} == {
        name: shape for name, shape in single.items() if name not in maps
    }
    assert set(batch) - set(single) == {"candidate_entity", "candidates", "top_k", "sort"}


def test_a_batch_answers_with_every_field_of_a_score() -> None:
    whole, result = shapes_of(pb.ScoreBatchResponse), shapes_of(pb.CandidateResult)

    absent = [name for name in shapes_of(pb.ScoreResponse) if name not in {**whole, **result}]

    assert absent == []


async def both(served: Served, **asked: Any) -> tuple[pb.ScoreResponse, pb.ScoreBatchResponse]:
    """Return the answers for one unit, alone and as the only candidate."""
    common: dict[str, Any] = {
        "model": MODEL,
        "request_id": "r",
        "unit_key": "one",
        "outputs": ["score"],
        "include_digests": True,
        **asked,
    }
    user = common.pop("user")
    single = pb.ScoreRequest(entities={"user": user}, **common)
    batch = pb.ScoreBatchRequest(
        candidate_entity="user", candidates=[pb.Candidate(id=user)], **common
    )
    return (
        await served.stub.Score(single, timeout=PATIENT_S),
        await served.stub.ScoreBatch(batch, timeout=PATIENT_S),
    )


@pytest.mark.parametrize(
    ("asked", "set_fields"),
    [
        ({"user": "u7"}, {"outputs"}),
        ({"user": "u7", "decision_threshold": 1.0}, {"outputs", "decision"}),
        ({"user": "u7", "decision_threshold": 1e6}, {"outputs", "decision"}),
        ({"user": "u120"}, {"rule"}),
        ({"user": "unknown", "decision_threshold": 1.0}, {"outputs", "decision"}),
        ({"user": "u7", "features": {"amount": pb.FeatureValue(number=3.0)}}, {"outputs"}),
    ],
)
async def test_a_candidate_is_answered_as_a_unit_is(
    asked: dict[str, Any], set_fields: set[str]
) -> None:
    async with open_served() as served:
        declared = deployment(
            revision=8, rules=(LARGE,), fallback=Fallback(constant_score=0.5), contract=CONTRACT
        )
        await served.world.deploy(declared, ready={1: ["one"]}, specs=[spec(1)])

        single, batch = await both(served, **asked)

    (result,) = batch.results
    assert set_fields <= {field.name for field, _ in single.ListFields()}
    assert single.served_by.digests.artifact
    for field in single.DESCRIPTOR.fields:
        one = getattr(single, field.name)
        if field.name == "timing":  # of another batch
            assert batch.timing.batch_rows == one.batch_rows == 1
        elif field.name in batch.DESCRIPTOR.fields_by_name:
            assert getattr(batch, field.name) == one, field.name
        else:
            assert getattr(result, field.name) == one, field.name
    assert result.level == single.degradation.level
