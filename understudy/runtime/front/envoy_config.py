"""Envoy's configuration from ours: pure, so that a whole file can be compared.

Between Envoy and the interpreter lies a queue without a bound, so each limit that matters is here,
before it. ADR 34 has the reasons that are not beside a value.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from understudy.runtime.front.grpc_server import STREAM_WINDOW_BYTES
from understudy.runtime.grpc_errors import PUSHBACK_KEY

_TYPES = "type.googleapis.com/envoy.extensions"
_LISTENER = "front"
_OURS_ALONE = 0o600
_STREAM_CAP = "cap_on_streams"
_CALL_CAP = "cap_on_calls"
_CONNECTION_BUFFER_BYTES = 1 << 20
_CONNECTION_WINDOW_BYTES = 1 << 20
_MOST_HEADER_KIB = 16
_PLAIN_PATH = "/[!-$&-~]*"  # printable ASCII without %
_HEADERS_WITHIN_S = 10
_GOAWAY_AFTER_S = 1  # from the notice to the last GOAWAY
_RETRY_AFTER_MS = 20
_NEVER_S = 3_600
OWN_SECRET, CALLERS_SECRET = "own", "callers"
OPEN_CALLS_STAT = f"http.{_LISTENER}.downstream_rq_active"

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EnvoySecrets:
    """Files of certificates in Envoy's form; one is read again once another is moved over it."""

    own: str
    callers: str | None  # the authorities of callers' certificates; None demands none


@dataclass(frozen=True, slots=True)
class EnvoyFront:
    """An Envoy process: its address, the application inside, and the limits before it."""

    host: str
    port: int
    admin_socket: str  # path of a Unix socket; its folder is ours alone
    application: str  # MODULE:ATTRIBUTE, an ASGI application
    module_file: str  # pyvoy's library
    stream_paths: Sequence[str]  # of methods whose calls stay open; they have a limit of their own
    most_calls: int  # open at a time
    most_streams: int  # open at a time
    most_connections: int
    most_calls_per_connection: int
    max_connection_age_s: float
    max_connection_idle_s: float  # without a call
    secrets: EnvoySecrets | None = None  # None: plaintext


def envoy_config(front: EnvoyFront) -> Config:
    """Return Envoy's whole configuration."""
    return {
        "node": {"id": _LISTENER, "cluster": _LISTENER},  # demanded by files of secrets
        # A pipe that only our user can open: the admin interface can end the process.
        "admin": {"address": {"pipe": {"path": front.admin_socket, "mode": _OURS_ALONE}}},
        "static_resources": {"listeners": [_listener(front)]},
        "overload_manager": {
            "resource_monitors": [
                _typed(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=front.most_connections,
                )
            ]
        },
        # Each statistic costs time per call; the drain needs this one.
        "stats_config": {
            "stats_matcher": {"inclusion_list": {"patterns": [{"exact": OPEN_CALLS_STAT}]}}
        },
    }


def _listener(front: EnvoyFront) -> Config:
    return {
        "name": _LISTENER,
        "address": {"socket_address": {"address": front.host, "port_value": front.port}},
        "enable_reuse_port": True,  # the workers share it
        "per_connection_buffer_limit_bytes": _CONNECTION_BUFFER_BYTES,
        "filter_chains": [
            {
                **_tls(front.secrets),
                "filters": [
                    _typed(
                        "envoy.filters.network.http_connection_manager",
                        "filters.network.http_connection_manager.v3.HttpConnectionManager",
                        **_connections(front),
                    )
                ],
            }
        ],
    }


def _tls(secrets: EnvoySecrets | None) -> Config:
    """Return the part of a filter chain that speaks TLS."""
    if secrets is None:
        return {}
    common: Config = {
        "alpn_protocols": ["h2"],
        "tls_certificate_sds_secret_configs": [_secret(OWN_SECRET, secrets.own)],
    }
    if secrets.callers is not None:
        common["validation_context_sds_secret_config"] = _secret(CALLERS_SECRET, secrets.callers)
    socket = _typed(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=common,
        require_client_certificate=secrets.callers is not None,
    )
    return {"transport_socket": socket}


def _secret(name: str, path: str) -> Config:
    return {"name": name, "sds_config": {"path_config_source": {"path": path}}}


def _connections(front: EnvoyFront) -> Config:
    return {
        "stat_prefix": _LISTENER,
        "codec_type": "HTTP2",  # over HTTP/1.1 a status of gRPC could not be sent
        "http2_protocol_options": {
            "max_concurrent_streams": front.most_calls_per_connection,
            "initial_stream_window_size": STREAM_WINDOW_BYTES,
            "initial_connection_window_size": _CONNECTION_WINDOW_BYTES,
        },
        "common_http_protocol_options": {
            "max_connection_duration": _seconds(front.max_connection_age_s),
            "idle_timeout": _seconds(front.max_connection_idle_s),
        },
        "drain_timeout": _seconds(_GOAWAY_AFTER_S),
        "request_headers_timeout": _seconds(_HEADERS_WITHIN_S),
        "stream_idle_timeout": _seconds(0),  # streams and watches may be silent; ours ends them
        "max_request_headers_kb": _MOST_HEADER_KIB,
        # Otherwise a caller's x-forwarded-for would be its address, of which streams are counted.
        "use_remote_address": True,
        "skip_xff_append": True,
        **_names_of_callers(asked=front.secrets is not None and front.secrets.callers is not None),
        "generate_request_id": False,
        "server_header_transformation": "PASS_THROUGH",
        "local_reply_config": {"mappers": [_pushback()]},
        "route_config": {"virtual_hosts": [_routes(front.stream_paths)]},
        "http_filters": [
            _plain_paths_only(),
            _cap(_CALL_CAP, front.most_calls),
            {**_cap(_STREAM_CAP, front.most_streams), "disabled": True},
            _application(front),
        ],
    }


def _names_of_callers(*, asked: bool) -> Config:
    """Return the part that names callers to the application, never by a header of their own."""
    if not asked:
        return {"forward_client_cert_details": "SANITIZE"}
    return {
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"dns": True},
    }


def _routes(stream_paths: Sequence[str]) -> Config:
    """Return routes that only choose between the two caps: the application answers all."""
    capped_as_stream = {_CALL_CAP: _switch(disabled=True), _STREAM_CAP: _switch(disabled=False)}
    return {
        "name": _LISTENER,
        "domains": ["*"],
        "routes": [
            {
                "match": {"path": path},
                "non_forwarding_action": {},
                "typed_per_filter_config": capped_as_stream,
            }
            for path in stream_paths
        ],
    }


def _switch(*, disabled: bool) -> Config:
    config = "type.googleapis.com/envoy.config.route.v3.FilterConfig"
    return {"@type": config, "disabled": disabled, "config": {}}


def _plain_paths_only() -> Config:
    """Refuse paths with an escape or bytes that are not ASCII: pyvoy never answers one that is no UTF-8.

    Such a call would hold its place under the cap for the life of its connection. No path of gRPC has either.
    """
    is_plain = {"url_path": {"path": {"safe_regex": {"regex": _PLAIN_PATH}}}}
    policy = {"permissions": [{"not_rule": is_plain}], "principals": [{"any": True}]}
    return _typed(
        "plain_paths_only",
        "filters.http.rbac.v3.RBAC",
        rules={"action": "DENY", "policies": {"other_path": policy}},
    )


def _cap(name: str, most: int) -> Config:
    """Return a fixed cap on open calls: Envoy's adaptive one, with nothing to adapt.

    No other limit of Envoy's acts on calls that it answers itself.
    """
    return _typed(
        name,
        "filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
        gradient_controller_config={
            "sample_aggregate_percentile": {"value": 50},
            "concurrency_limit_params": {
                "max_concurrency_limit": most,
                "concurrency_update_interval": _seconds(_NEVER_S),
            },
            "min_rtt_calc_params": {
                "fixed_value": _seconds(_GOAWAY_AFTER_S),
                "min_concurrency": most,
                "jitter": {"value": 0},
            },
        },
        enabled={"default_value": True, "runtime_key": f"{name}.enabled"},
    )


def _pushback() -> Config:
    """Tell callers that the cap refuses when to try again, as our own refusals do."""
    is_cap = {"op": "EQ", "value": {"default_value": 503, "runtime_key": "cap.status"}}
    header = {"key": PUSHBACK_KEY, "value": str(_RETRY_AFTER_MS)}
    return {
        "filter": {"status_code_filter": {"comparison": is_cap}},
        "headers_to_add": [{"header": header}],
    }


def _application(front: EnvoyFront) -> Config:
    settings: Mapping[str, Any] = {
        "app": front.application,
        "interface": "asgi",
        "worker_threads": 1,  # event loops; our processes are made for one
        "loop": "uvloop",
        "lifespan": True,  # so that a failure to start ends the process
    }
    return _typed(
        "pyvoy",
        "filters.http.dynamic_modules.v3.DynamicModuleFilter",
        dynamic_module_config={"module": {"local": {"filename": front.module_file}}},
        filter_name="pyvoy",
        terminal_filter=True,
        filter_config={
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(settings),
        },
    )


def _typed(name: str, kind: str, **fields: Any) -> Config:
    return {"name": name, "typed_config": {"@type": f"{_TYPES}.{kind}", **fields}}


def _seconds(seconds: float) -> str:
    return f"{seconds:g}s"
