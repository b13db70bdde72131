"""The Aerospike client, opened once per process with explicit policies.

The reason for each value: docs/how-to/aerospike.md.
"""

from dataclasses import dataclass
from typing import Any, Final

import aerospike
from aerospike import exception as aerospike_errors

from understudy.domain.errors import UnavailableError

RECORD_BIN: Final = "v"  # the packed record
EVENT_TIME_BIN: Final = "t"  # UTC ms, read by the condition of a write
CREATED_TIME_BIN: Final = "c"  # UTC ms, breaks ties of event times
FINGERPRINT_BIN: Final = "f"  # of the record, breaks ties of created times
DIGEST_BIN: Final = "d"  # of the view, read by the same condition
LOADS_SET: Final = "_loads"  # the progress of loads, and the newest event times

_REASONS: Final = {
    -16: "some rows failed",
    -15: "no response",
    -14: "too many errors from the node",
    -10: "no connection",
    -8: "no node",
    -7: "no free connection",
    1: "cluster is empty",
    4: "the server rejects the request",
    8: "the namespace accepts no more writes",
    9: "timed out",
    11: "cluster is forming",
    14: "record busy",
    18: "device overloaded",
    20: "namespace does not exist",
    22: "forbidden",
    25: "a feature of the Enterprise Edition",
    51: "the server has no users, but a user is set",
    52: "security is disabled on the server, but a user is set",
    60: "unknown user",
    62: "wrong password",
    65: "wrong user or password",
    80: "the server requires a user",
    81: "the user lacks the permission",
}
_CLIENT_ERROR: Final = -1
_NOT_CONNECTED: Final = "Failed to connect"
_AUTH_MODES: Final = {
    "internal": aerospike.AUTH_INTERNAL,
    "external": aerospike.AUTH_EXTERNAL,
    "external_insecure": aerospike.AUTH_EXTERNAL_INSECURE,
    "pki": aerospike.AUTH_PKI,
}
_REPLICAS: Final = {
    "master": aerospike.POLICY_REPLICA_MASTER,
    "any": aerospike.POLICY_REPLICA_ANY,
    "sequence": aerospike.POLICY_REPLICA_SEQUENCE,
    "prefer_rack": aerospike.POLICY_REPLICA_PREFER_RACK,
    "random": aerospike.POLICY_REPLICA_RANDOM,
}


@dataclass(frozen=True, slots=True)
class AerospikeOptions:
    """Addresses of the servers and connection options."""

    hosts: tuple[tuple[str, int], ...]
    namespace: str
    set_prefix: str = ""
    cluster_name: str = ""
    user: str = ""
    password: str = ""
    auth_mode: str = "internal"
    tls: bool = False
    tls_name: str = ""
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    use_services_alternate: bool = False
    rack_id: int | None = None
    replica: str = "sequence"
    connect_timeout_ms: int = 500
    max_retries: int = 2
    timeout_delay_ms: int = 0
    max_error_rate: int = 100
    tend_interval_ms: int = 250
    threads: int = 4
    max_connections: int = 16
    write_timeout_ms: int = 1000
    write_threads: int = 8
    durable_deletes: bool = False

    @property
    def dependency(self) -> str:
        """Name of the store in error messages."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"feature store aerospike://{hosts}/{self.namespace}"


def open_client(options: AerospikeOptions, *, must_connect: bool = False) -> Any:
    """Open a client, which connects as soon as a server is reachable.

    Open it in the process that uses it. A client that survives a fork shares its sockets with
    the parent process, and each of them then reads the other's records.

    Args:
        options: addresses and connection options.
        must_connect: fail if no server accepts the connection; later errors do not give the cause.

    Raises:
        UnavailableError: the client rejects the options, or cannot connect and must.
    """
    try:
        return aerospike.client({**_config(options), "fail_if_not_connected": must_connect})
    except aerospike_errors.AerospikeError as error:
        raise UnavailableError(options.dependency, _why_no_client(options, error)) from error


def reason_of(code: int) -> str:
    """Return a description of a result code of the client or the server."""
    return _REASONS.get(code, f"result code {code}")


def reason_of_error(error: aerospike_errors.AerospikeError) -> str:
    return _REASONS.get(error.code or 0) or error.msg or type(error).__name__


def _why_no_client(options: AerospikeOptions, error: aerospike_errors.AerospikeError) -> str:
    if (
        error.code == _CLIENT_ERROR and error.msg == _NOT_CONNECTED
    ):  # the client gives no more detail
        of_cluster = f" of a cluster named {options.cluster_name}" if options.cluster_name else ""
        return f"no node{of_cluster} that has joined its cluster"
    return reason_of_error(error)


def _config(options: AerospikeOptions) -> dict[str, Any]:
    read = {
        # Of the reads of loads; each read of features has limits of its own (decisions/attempts.py).
        "total_timeout": options.write_timeout_ms,
        "socket_timeout": options.write_timeout_ms // 2,
        "max_retries": options.max_retries,
        "sleep_between_retries": 0,
        "timeout_delay": options.timeout_delay_ms,
        "replica": _REPLICAS[options.replica],
    }
    write = {
        "total_timeout": options.write_timeout_ms,
        "socket_timeout": options.write_timeout_ms // 2,
        "max_retries": options.max_retries,
        "timeout_delay": options.timeout_delay_ms,
    }
    config: dict[str, Any] = {
        "hosts": [
            (host, port, options.tls_name) if options.tls and options.tls_name else (host, port)
            for host, port in options.hosts
        ],
        "validate_keys": True,  # otherwise a misspelt key is ignored
        "connect_timeout": options.connect_timeout_ms,
        "tend_interval": options.tend_interval_ms,
        "min_conns_per_node": options.threads,  # so that the first reads do not wait for a connection
        "max_conns_per_node": options.max_connections,
        "max_error_rate": options.max_error_rate,
        "use_services_alternate": options.use_services_alternate,
        "rack_aware": options.rack_id is not None,
        "policies": {
            "read": read,
            "batch": {**read, "concurrent": False},
            "write": write,
            "remove": write,
        },
    }
    if options.rack_id is not None:
        config["rack_id"] = options.rack_id
    if options.cluster_name:
        config["cluster_name"] = options.cluster_name
    if options.user:
        config["user"] = options.user
        config["password"] = options.password
    if options.user or options.auth_mode == "pki":  # with PKI the certificate names the user
        config["policies"]["auth_mode"] = _AUTH_MODES[options.auth_mode]
    if options.tls:
        config["tls"] = _tls(options)
    return config


def _tls(options: AerospikeOptions) -> dict[str, Any]:
    files = {
        "cafile": options.tls_ca_file,
        "certfile": options.tls_cert_file,
        "keyfile": options.tls_key_file,
    }
    return {"enable": True, **{name: path for name, path in files.items() if path}}
