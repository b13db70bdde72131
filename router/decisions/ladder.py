"""The answer if the model fails: one step down at a time, only onto declared steps."""

from dataclasses import dataclass
from enum import StrEnum

from understudy.domain.deployments import DegradationLevel, DegradationReason, Fallback


class Cause(StrEnum):
    """The reason why the model could not answer, for the response and as a label in metrics."""

    SCORER_UNAVAILABLE = DegradationReason.SCORER_UNAVAILABLE
    SCORER_FAILED = DegradationReason.SCORER_FAILED
    DEADLINE_NEAR = DegradationReason.DEADLINE_NEAR
    SCORE_NOT_FINITE = DegradationReason.SCORE_NOT_FINITE
    FEATURES_MISSING = DegradationReason.FEATURES_MISSING  # in an input that cannot say so
    DRILL = DegradationReason.DRILL


@dataclass(frozen=True, slots=True)
class AskVersion:
    version: int


@dataclass(frozen=True, slots=True)
class AnswerWith:
    level: DegradationLevel
    score: float
    reason: DegradationReason


@dataclass(frozen=True, slots=True)
class Fail:
    """No step is declared below: the caller gets an error."""


Step = AskVersion | AnswerWith | Fail


def declares(fallback: Fallback, level: DegradationLevel) -> bool:
    """Return whether the deployment declares anything that may answer at `level` (L2, L3) or below."""
    if fallback.constant_score is not None:
        return True
    return level is DegradationLevel.FALLBACK and (
        fallback.version is not None or fallback.last_score_max_age_s is not None
    )


def next_step(
    fallback: Fallback,
    *,
    fallback_is_ready: bool,
    tried_fallback: bool,
    last_score: float | None,
    floor: DegradationLevel = DegradationLevel.FALLBACK,
) -> Step:
    """Return the highest declared step that can still answer.

    Args:
        fallback: the deployment's declaration.
        fallback_is_ready: the fallback version could take this call now, with enough time.
        tried_fallback: the fallback version has already failed this call.
        last_score: the entity's last score if declared, known and young enough.
        floor: the highest level allowed; a drill lowers it.
    """
    if floor <= DegradationLevel.FALLBACK:
        if fallback.version is not None and fallback_is_ready and not tried_fallback:
            return AskVersion(fallback.version)
        if last_score is not None:
            return AnswerWith(DegradationLevel.FALLBACK, last_score, DegradationReason.LAST_SCORE)
    if fallback.constant_score is not None:
        return AnswerWith(
            DegradationLevel.CONSTANT, fallback.constant_score, DegradationReason.CONSTANT_SCORE
        )
    return Fail()
