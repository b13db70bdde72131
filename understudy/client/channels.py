"""The channel of a client: how it connects, notices a silent peer, and repeats safe calls."""

import json
import threading
from collections.abc import Sequence

import grpc

from understudy.client.repeats import MOST_ATTEMPTS

Metadata = Sequence[tuple[str, str | bytes]]

DEFAULT_TIMEOUT_S = 0.5  # the router spends it on fetch, queue and model
OUTCOMES_TIMEOUT_S = 5.0
_MOST_WAIT_FOR_STATE_S = 1.0

_SERVICE = "understudy.scoring.v1.ScoringService"
_REPEATABLE = ("Score", "ScoreBatch", "ExplainAssignment")  # outcomes would be logged twice
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": _SERVICE, "method": method} for method in _REPEATABLE],
            "retryPolicy": {
                "maxAttempts": MOST_ATTEMPTS,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.4s",
                "backoffMultiplier": 2,
                # A call cancelled by its own caller is not repeated: it ends at once. Nor is
                # RESOURCE_EXHAUSTED: gRPC would repeat requests that are too large, see `repeats`.
                "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
            },
        }
    ],
    # If most calls fail, repeating them makes it worse: stop until they succeed again.
    # gRPC stops below half of the tokens, and all connections to an address share them: a worker that is
    # killed may take 500 calls with it. More than 1,000 are not possible.
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.2},
}
CHANNEL_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # grpcio 1.85 also applies this limit, a minute by default, to keep-alive pings.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Two clients have two connections, so that they can reach two workers of one port.
    ("grpc.use_local_subchannel_pool", 1),
)


def may_be_connected(channel: grpc.Channel) -> bool:
    """Return whether a channel for threads is connected; true if gRPC does not say in a second."""
    states: list[grpc.ChannelConnectivity] = []
    is_told = threading.Event()

    def tell(state: grpc.ChannelConnectivity) -> None:
        states.append(state)
        is_told.set()

    channel.subscribe(tell)
    is_told.wait(_MOST_WAIT_FOR_STATE_S)
    channel.unsubscribe(tell)
    return not states or states[-1] is grpc.ChannelConnectivity.READY
