"""The client of the scoring service: sync and asyncio. It needs grpcio and protobuf, no more.

All that a caller names stands here: the clients, their options, and the messages that they take and
return. Failures are raised as `grpc.RpcError`.
"""

from understudy.client.request_ids import new_request_id
from understudy.client.scoring_client import (
    AsyncScoringClient,
    BatchOptions,
    Features,
    FeatureScalar,
    ScoreOptions,
    ScoringClient,
    score_request,
)
from understudy.client.streams import UnansweredError
from understudy.scoring.v1.scoring_pb2 import (
    Arm,
    ArmShare,
    CandidateResult,
    Degradation,
    DegradationLevel,
    Error,
    ExplainAssignmentResponse,
    FeatureValue,
    Output,
    ScoreBatchResponse,
    ScoreRequest,
    ScoreResponse,
    ScoreStreamResponse,
    ServedBy,
    Timing,
)

__all__ = [
    "Arm",
    "ArmShare",
    "AsyncScoringClient",
    "BatchOptions",
    "CandidateResult",
    "Degradation",
    "DegradationLevel",
    "Error",
    "ExplainAssignmentResponse",
    "FeatureScalar",
    "FeatureValue",
    "Features",
    "Output",
    "ScoreBatchResponse",
    "ScoreOptions",
    "ScoreRequest",
    "ScoreResponse",
    "ScoreStreamResponse",
    "ScoringClient",
    "ServedBy",
    "Timing",
    "UnansweredError",
    "new_request_id",
    "score_request",
]
