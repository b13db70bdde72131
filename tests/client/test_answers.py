"""The answers of the clients, and the uses that they refuse."""

import pytest

from understudy.client.answers import BatchAnswer, Decision, ScoreAnswer, StreamAnswer
from understudy.scoring.v1 import scoring_pb2 as pb


@pytest.mark.parametrize("decision", list(Decision))
def test_a_decision_refuses_to_be_a_truth_value(decision: Decision) -> None:
    answer = ScoreAnswer(pb.ScoreResponse(score=0.981, decision=decision.value))

    with pytest.raises(TypeError, match=r"answer\.decision is Decision\.BELOW"):
        _ = not answer.decision


def test_an_answer_without_a_threshold_has_a_decision_that_is_neither_side() -> None:
    answer = ScoreAnswer(pb.ScoreResponse(score=0.981))

    assert answer.decision is Decision.UNSPECIFIED


def test_the_clients_decisions_equal_those_of_the_wire() -> None:
    assert {f"DECISION_{each.name}": each.value for each in Decision} == dict(pb.Decision.items())


def test_an_answer_shows_the_content_of_its_message() -> None:
    message = pb.ScoreResponse(
        request_id="r1",
        score=0.25,
        decision=pb.DECISION_BELOW,
        served_by=pb.ServedBy(version=3),
        degradation=pb.Degradation(level=pb.DEGRADATION_LEVEL_FULL),
        timing=pb.Timing(total_us=900),
        rule=pb.AppliedRule(name="large", action="review"),
        outputs=[pb.Output(name="probabilities", values=[0.75, 0.25])],
    )

    answer = ScoreAnswer(message)

    assert (answer.request_id, answer.score, answer.served_by.version) == ("r1", 0.25, 3)
    assert answer.decision is Decision.BELOW
    assert (answer.degradation.level, answer.timing.total_us) == (pb.DEGRADATION_LEVEL_FULL, 900)
    assert answer.rule == pb.AppliedRule(name="large", action="review")
    assert answer.outputs == {"probabilities": (0.75, 0.25)}


def test_the_decision_of_a_candidate_refuses_to_be_a_truth_value_too() -> None:
    result = pb.CandidateResult(id="a", score=0.5, decision=pb.DECISION_BELOW)
    (candidate,) = BatchAnswer(pb.ScoreBatchResponse(results=[result])).results

    with pytest.raises(TypeError, match=r"answer\.decision is Decision\.BELOW"):
        _ = not candidate.decision

    assert candidate.decision is Decision.BELOW


def test_a_candidate_has_a_score_or_an_error() -> None:
    results = [
        pb.CandidateResult(id="a", score=0.0, outputs=[pb.Output(name="why", values=[1.0])]),
        pb.CandidateResult(id="b", index=1, error=pb.Error(code=3)),
    ]
    scored, failed = BatchAnswer(pb.ScoreBatchResponse(results=results)).results

    assert (scored.id, scored.score, scored.error) == ("a", 0.0, None)
    assert scored.outputs == {"why": (1.0,)}
    assert (failed.index, failed.score, failed.error) == (1, None, pb.Error(code=3))
    assert failed.decision is Decision.UNSPECIFIED


def test_an_answer_without_a_deciding_rule_has_none() -> None:
    assert ScoreAnswer(pb.ScoreResponse()).rule is None


def test_a_streams_answer_is_a_response_or_an_error() -> None:
    response = pb.ScoreResponse(request_id="r1", decision=pb.DECISION_AT_OR_ABOVE)
    answered = StreamAnswer(pb.ScoreStreamResponse(request_id="r1", response=response))
    failed = StreamAnswer(pb.ScoreStreamResponse(request_id="r2", error=pb.Error(code=5)))

    assert answered.response == ScoreAnswer(response)
    assert answered.error is None
    assert (failed.response, failed.error) == (None, pb.Error(code=5))
