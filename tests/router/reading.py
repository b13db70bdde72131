"""Reading of answers in the terms of the tests."""

from understudy.scoring.v1 import scoring_pb2 as pb

_PREFIX = "DEGRADATION_REASON_"


def reasons_of(answer: pb.ScoreResponse | pb.ScoreBatchResponse) -> list[str]:
    """Return the reasons why the answer is degraded, e.g. "features_stale"."""
    names = [pb.DegradationReason.Name(reason) for reason in answer.degradation.reasons]
    return [name.removeprefix(_PREFIX).lower() for name in names]
