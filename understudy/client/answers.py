"""The answers that the clients return: thin views of the messages, without their pitfalls.

In a message, `decision` is a number, and `not answer.decision` is true if no threshold is set: code
with this test approves requests without any decision. Here a decision raises an error when it is
used as a truth value, so such code fails at its first call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from understudy.scoring.v1 import scoring_pb2 as pb


class Decision(Enum):
    """The side of the decision threshold on which a score lies. Compare it with `is`.

    An answer always has a decision, UNSPECIFIED if neither request nor deployment sets a
    threshold; None would be false.
    """

    UNSPECIFIED = pb.DECISION_UNSPECIFIED
    BELOW = pb.DECISION_BELOW
    AT_OR_ABOVE = pb.DECISION_AT_OR_ABOVE

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"read the truth value of {self}; accepted: a comparison, e.g. "
            "`answer.decision is Decision.BELOW`"
        )


@dataclass(frozen=True, slots=True)
class ScoreAnswer:
    """The answer to one request. `message` is the server's message."""

    message: pb.ScoreResponse

    @property
    def request_id(self) -> str:
        return self.message.request_id

    @property
    def score(self) -> float:
        return self.message.score

    @property
    def decision(self) -> Decision:
        return Decision(self.message.decision)

    @property
    def served_by(self) -> pb.ServedBy:
        return self.message.served_by

    @property
    def degradation(self) -> pb.Degradation:
        return self.message.degradation

    @property
    def timing(self) -> pb.Timing:
        return self.message.timing

    @property
    def rule(self) -> pb.AppliedRule | None:
        """The rule that decided before the model, or None."""
        return self.message.rule if self.message.HasField("rule") else None

    @property
    def outputs(self) -> Mapping[str, tuple[float, ...]]:
        """The requested outputs by name, without those that the version lacks."""
        return _by_name(self.message.outputs)


@dataclass(frozen=True, slots=True)
class CandidateAnswer:
    """The result for one candidate of a batch: a score, or an error in its place."""

    message: pb.CandidateResult

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def index(self) -> int:
        """The position of the candidate in the request, from 0."""
        return self.message.index

    @property
    def score(self) -> float | None:
        """The score, or None if there is an error."""
        return self.message.score if self.message.HasField("score") else None

    @property
    def decision(self) -> Decision:
        return Decision(self.message.decision)

    @property
    def level(self) -> pb.DegradationLevel.ValueType:
        return self.message.level

    @property
    def error(self) -> pb.Error | None:
        """The reason for a missing score, or None; `error_in` makes an exception of it."""
        return self.message.error if self.message.HasField("error") else None

    @property
    def rule(self) -> pb.AppliedRule | None:
        """The rule that decided before the model, or None."""
        return self.message.rule if self.message.HasField("rule") else None

    @property
    def outputs(self) -> Mapping[str, tuple[float, ...]]:
        """The requested outputs by name, without those that the version lacks."""
        return _by_name(self.message.outputs)


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The answer to one batch. `message` is the server's message."""

    message: pb.ScoreBatchResponse

    @property
    def request_id(self) -> str:
        return self.message.request_id

    @property
    def results(self) -> tuple[CandidateAnswer, ...]:
        """The results in request order, or as `sort` and `top_k` require."""
        return tuple(CandidateAnswer(each) for each in self.message.results)

    @property
    def served_by(self) -> pb.ServedBy:
        return self.message.served_by

    @property
    def degradation(self) -> pb.Degradation:
        return self.message.degradation

    @property
    def timing(self) -> pb.Timing:
        return self.message.timing


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The answer to one request of a stream: a response, or an error in its place."""

    message: pb.ScoreStreamResponse

    @property
    def request_id(self) -> str:
        return self.message.request_id

    @property
    def response(self) -> ScoreAnswer | None:
        """The answer, or None if there is an error."""
        return ScoreAnswer(self.message.response) if self.message.HasField("response") else None

    @property
    def error(self) -> pb.Error | None:
        """The reason for a missing answer, or None."""
        return self.message.error if self.message.HasField("error") else None


def _by_name(outputs: Iterable[pb.Output]) -> Mapping[str, tuple[float, ...]]:
    return {output.name: tuple(output.values) for output in outputs}
