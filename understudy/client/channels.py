"""The channel of a client: how it connects, notices a silent peer, and repeats safe calls."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.2},
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


def tls_credentials(
    *,
    roots: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    token: Callable[[], str] | None = None,
) -> grpc.ChannelCredentials:
    """Return credentials for a connection with TLS; files in PEM, read now.

    Args:
        roots: certificates of the authorities that may have signed the router's; by default gRPC's.
        certificate: of the caller, with its chain, if the router demands one; with `key`.
        key: private key of `certificate`.
        token: returns the bearer token of a call, in a thread of gRPC. It should return quickly, so
            keep the token until it expires.

    Raises:
        ValueError: only one of `certificate` and `key` is given.
        OSError: a file cannot be read.
    """
    if (certificate is None) != (key is None):
        given = "certificate" if key is None else "key"
        raise ValueError(f"certificate and key: read only {given}; accepted: both or none")
    channel = grpc.ssl_channel_credentials(_bytes_of(roots), _bytes_of(key), _bytes_of(certificate))
    if token is None:
        return channel
    return grpc.composite_channel_credentials(
        channel, grpc.metadata_call_credentials(_BearerToken(token))
    )


class _BearerToken(grpc.AuthMetadataPlugin):
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, _context: object, callback: Any) -> None:
        try:
            metadata = (("authorization", f"Bearer {self._token()}"),)
        except Exception as error:  # noqa: BLE001 - gRPC ends the call with it
            callback((), error)
        else:
            callback(metadata, None)


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


def _bytes_of(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
