"""The answers that the clients return: thin views of the messages, without their traps.

In a message, `decision` is a number, and `not answer.decision` is true where no threshold is set: a
caller that writes it approves what nobody decided. Here a decision is a value that refuses to be a
truth value, so such a line fails at its first call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from understudy.scoring.v1 import scoring_pb2 as pb


class Decision(Enum):
    """On which side of the decision threshold a score lies. Compare it with `is`.

    An answer has a decision always, UNSPECIFIED where neither request nor deployment sets a
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
    """The answer to one request. `message` is what the server sent."""

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
        """The rule that decided before the model; None when the model was asked."""
        return self.message.rule if self.message.HasField("rule") else None

    @property
    def outputs(self) -> Mapping[str, tuple[float, ...]]:
        """The outputs that were asked for, by name; those that the version lacks are left out."""
        return {output.name: tuple(output.values) for output in self.message.outputs}


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """The answer to one request of a stream: a response, or the error that stands for it."""

    message: pb.ScoreStreamResponse

    @property
    def request_id(self) -> str:
        return self.message.request_id

    @property
    def response(self) -> ScoreAnswer | None:
        """The answer; None when there is an error instead."""
        return ScoreAnswer(self.message.response) if self.message.HasField("response") else None

    @property
    def error(self) -> pb.Error | None:
        """Why there is no answer; None when there is one."""
        return self.message.error if self.message.HasField("error") else None
