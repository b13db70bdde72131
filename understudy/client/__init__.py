"""The client of the scoring service, sync and asyncio. It needs only grpcio and protobuf.

All public names are here: the clients, their options and answers, and the messages in them.
Failures are raised as `grpc.RpcError`.
"""

from understudy.client.answers import Decision, ScoreAnswer, StreamAnswer
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.request_ids import new_request_id
from understudy.client.request_values import Features, FeatureScalar
from understudy.client.requests import BatchOptions, ScoreOptions, score_request
from understudy.client.scoring_client import ScoringClient
from understudy.client.unanswered import UnansweredError
from understudy.scoring.v1.scoring_pb2 import (
    AppliedRule,
    Arm,
    ArmShare,
    ArmVersion,
    CandidateResult,
    Degradation,
    DegradationLevel,
    DegradationReason,
    Error,
    ExplainAssignmentResponse,
    FeatureDtype,
    FeatureValue,
    FieldViolation,
    Output,
    RequestContract,
    RequestFeature,
    ScoreBatchResponse,
    ScoreRequest,
    ScoreResponse,
    ScoreStreamResponse,
    ServedBy,
    ServedDigests,
    Timing,
    WithheldReason,
)

__all__ = [
    "AppliedRule",
    "Arm",
    "ArmShare",
    "ArmVersion",
    "AsyncScoringClient",
    "BatchOptions",
    "CandidateResult",
    "Decision",
    "Degradation",
    "DegradationLevel",
    "DegradationReason",
    "Error",
    "ExplainAssignmentResponse",
    "FeatureDtype",
    "FeatureScalar",
    "FeatureValue",
    "Features",
    "FieldViolation",
    "Output",
    "RequestContract",
    "RequestFeature",
    "ScoreAnswer",
    "ScoreBatchResponse",
    "ScoreOptions",
    "ScoreRequest",
    "ScoreResponse",
    "ScoreStreamResponse",
    "ScoringClient",
    "ServedBy",
    "ServedDigests",
    "StreamAnswer",
    "Timing",
    "UnansweredError",
    "WithheldReason",
    "new_request_id",
    "score_request",
]
