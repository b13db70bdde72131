"""The client of the scoring service: sync and asyncio. It needs grpcio and protobuf, no more."""

from understudy.client.request_ids import new_request_id
from understudy.client.scoring_client import AsyncScoringClient, ScoringClient

__all__ = ["AsyncScoringClient", "ScoringClient", "new_request_id"]
