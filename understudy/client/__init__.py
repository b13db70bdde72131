"""The client of the scoring service, sync and asyncio. It needs only grpcio and protobuf.

All public names are here: the clients, their options and answers, and the messages in them.
Failures are raised as `ScoringError` and its subclasses.
"""

from understudy.client.answers import (
    BatchAnswer,
    CandidateAnswer,
    Decision,
    ScoreAnswer,
    StreamAnswer,
)
from understudy.client.async_scoring_client import AsyncScoringClient
from understudy.client.channels import Metadata
from understudy.client.error_details import Violation
from understudy.client.errors import (
    AccessRefusedError,
    CannotConnectError,
    DeadlineExceededError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    RequestTooLargeError,
    ScoringError,
    UnavailableError,
    error_in,
)
from understudy.client.request_ids import new_request_id
from understudy.client.request_values import Features, FeatureScalar
from understudy.client.requests import BatchOptions, ScoreOptions, score_request
from understudy.client.scoring_client import ScoringClient
from understudy.client.tls_files import TlsFiles
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
    "AccessRefusedError",
    "AppliedRule",
    "Arm",
    "ArmShare",
    "ArmVersion",
    "AsyncScoringClient",
    "BatchAnswer",
    "BatchOptions",
    "CandidateAnswer",
    "CandidateResult",
    "CannotConnectError",
    "DeadlineExceededError",
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
    "InvalidRequestError",
    "Metadata",
    "NotFoundError",
    "Output",
    "OverloadedError",
    "RequestContract",
    "RequestFeature",
    "RequestTooLargeError",
    "ScoreAnswer",
    "ScoreBatchResponse",
    "ScoreOptions",
    "ScoreRequest",
    "ScoreResponse",
    "ScoreStreamResponse",
    "ScoringClient",
    "ScoringError",
    "ServedBy",
    "ServedDigests",
    "StreamAnswer",
    "Timing",
    "TlsFiles",
    "UnansweredError",
    "UnavailableError",
    "Violation",
    "WithheldReason",
    "error_in",
    "new_request_id",
    "score_request",
]
