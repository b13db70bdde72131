"""Settings of a router: frozen, bounded, related values checked together."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from router.books.request_log import RequestLines
from router.decisions.hop import Hop
from understudy.control.access import AccessSettings
from understudy.domain.logged_ids import IdForm, LoggedIds
from understudy.domain.store_urls import parse_store_url
from understudy.logs.writer import WriterLimits
from understudy.runtime.front.choice import Front
from understudy.runtime.transport.transport import Transport

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
_MOST_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without its final zero
_LAST_PORT = 65_535
_CLOSING_SHARE = 0.8  # of the time after the drain
_MIRRORS_SHARE, _WORK_SHARE = 0.4, 0.5  # of the time of closing; the logs have the rest
_LOG_CLOSE_S = 10.0
_SHIPPING_SHARE = 0.8  # of the time between the stop of the workers and the end
_DUE_SHARE = 0.75  # of the most open calls; the rest is for callers at other addresses
Rows = Annotated[int, Field(ge=1, le=1_000_000)]
_ONLY_ON = {  # settings that act on the other front only
    Front.ENVOY: frozenset({"listeners", "most_unread_calls"}),
    Front.GRPC: frozenset({"most_open_calls"}),
}


class RouterSettings(AccessSettings):
    """Environment variables with the prefix `ROUTER_`, e.g. `ROUTER_DEFAULT_DEADLINE_S=0.05`."""

    model_config = SettingsConfigDict(
        env_prefix="ROUTER_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    listen: str = "127.0.0.1:8400"
    registry: str = "127.0.0.1:8500"  # or several addresses, separated by commas, tried in turn
    features: str  # lmdb:PATH or aerospike://HOST:PORT/NAMESPACE
    log_dir: Path  # score, shadow and outcome logs
    state_dir: Path  # last snapshot, admin sockets
    hop: Hop = Hop.GRPC  # to scorers; frames: where they are on this machine
    front: Front = Front.GRPC  # auto: envoy where it can run
    plaintext_callers: bool = (
        False  # serve callers in plaintext although the process has a certificate
    )
    identities: Path | None = None  # file of the callers of the scoring port, with roles
    workers: int = Field(default=1, ge=1, le=64)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        default=0, ge=0, le=_LAST_PORT
    )  # 0: off; worker i listens on port + i
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    request_lines: RequestLines = RequestLines.OFF
    request_lines_sample_bp: int = Field(default=100, ge=1, le=10_000)
    log_mode: Literal["0700", "0750"] = "0700"  # of the log folders; files 0600 or 0640
    log_group: str = ""  # name or number of the group that reads the logs with 0750
    log_ids: IdForm = IdForm.KEYED  # form of entity and candidate ids in the logs
    log_key: SecretStr = SecretStr(
        ""
    )  # key of their digests; required unless log_ids says otherwise
    log_target: str = ""  # URL of an object store that gets finished log files; empty: none
    log_keep_s: Annotated[float, Field(ge=0, le=31_622_400)] = (
        3600.0  # how long shipped files stay in log_dir
    )
    most_log_bytes: int = Field(default=10 << 30, ge=1 << 20, le=1 << 50)  # below log_dir

    default_deadline_s: Seconds = 0.1  # used if the caller sets none
    largest_deadline_s: Seconds = 10.0
    most_batch_rows: Rows = 256
    most_gather_s: Annotated[float, Field(ge=0, le=0.05)] = (
        0.006  # longest wait of a call to be read together with others
    )
    most_candidates: Rows = 10_000
    most_candidate_features: int = Field(default=200_000, ge=1, le=10_000_000)  # of one ScoreBatch
    largest_request_bytes: int = Field(default=4 << 20, ge=1024, le=1 << 30)
    listeners: int = Field(default=2, ge=1, le=8)  # of a worker: each accepts one call at a time
    most_unread_calls: int = Field(default=136, ge=16, le=65_536)  # of a worker, over its listeners
    most_open_calls: int = Field(default=256, ge=8, le=65_536)  # of a worker behind Envoy
    io_nicer: int = Field(default=10, ge=0, le=19)  # of gRPC's threads, relative to the event loop
    least_outstanding_rows: Rows = 64
    most_outstanding_rows: Rows = 4096
    most_outstanding_bytes: int = Field(default=256 << 20, ge=1 << 20, le=1 << 40)  # of requests
    wanted_queue_s: Seconds = 0.02
    most_last_scores: int = Field(default=100_000, ge=1, le=10_000_000)
    most_connections: int = Field(default=1_024, ge=1, le=1_000_000)  # of a worker
    most_calls_per_connection: int = Field(default=1_024, ge=1, le=1_000_000)  # open at a time
    most_streams: int = Field(default=256, ge=1, le=100_000)  # open ScoreStreams of a worker
    most_streams_per_caller: int = Field(default=64, ge=1, le=100_000)  # from one address
    most_stream_messages: int = Field(default=256, ge=1, le=100_000)  # read and not answered
    most_stream_bytes: int = Field(
        default=1 << 20, ge=1024, le=1 << 30
    )  # of these and their answers
    most_stream_bytes_per_caller: int = Field(
        default=16 << 20, ge=1024, le=1 << 40
    )  # in all of its streams
    max_connection_age_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    max_connection_idle_s: Annotated[float, Field(ge=1, le=86_400)] = 60.0

    feature_slow_s: Seconds = 0.05  # a slower read counts as a failure
    feature_trip_after: int = Field(default=5, ge=1, le=1000)
    last_known_records: Rows = 100_000  # memory of a remote store's answers
    last_known_max_age_s: Seconds = 600.0
    scorer_timeout_s: Seconds = 1.0  # a scorer that takes longer for a batch is considered hung
    hedge_after_s: Annotated[float, Field(ge=0, le=10)] = 0.0  # 0 for no hedging
    scorer_trip_after: int = Field(default=3, ge=1, le=1000)
    cool_down_s: Seconds = 0.25  # an open breaker lets a probe through after this

    mirror_queue_rows: Rows = 8192
    mirror_batch_rows: Rows = 512
    mirror_most_wait_s: Seconds = 5.0
    mirror_timeout_s: Seconds = 1.0

    probe_interval_s: Seconds = 2.0  # from one liveness probe of a worker to the next
    probe_timeout_s: Seconds = 2.0  # a later answer counts as a miss
    probe_misses: int = Field(
        default=3, ge=1, le=100
    )  # consecutive misses after which a worker is replaced

    workers_outlive_s: Annotated[float, Field(ge=0, le=600)] = (
        60.0  # how long workers serve on after their supervising process was killed
    )

    unready_delay_s: Annotated[float, Field(ge=0, le=600)] = 0.2
    drain_grace_s: Seconds = 10.0
    termination_s: Seconds = 30.0  # time from the platform before SIGKILL

    @property
    def drained_after_s(self) -> float:
        """The limit on the drain, from SIGTERM on."""
        return self.unready_delay_s + self.drain_grace_s

    @property
    def stop_limit_s(self) -> float:
        """The limit on the stop of a worker; it leaves its supervisor some of the time."""
        return self.drained_after_s + _CLOSING_SHARE * (self.termination_s - self.drained_after_s)

    @property
    def mirrors_end_s(self) -> float:
        """The limit on sending queued rows to shadows after the drain."""
        return _MIRRORS_SHARE * (self.stop_limit_s - self.drained_after_s)

    @property
    def work_ends_s(self) -> float:
        """The limit on all work that is left after the drain, the mirrors included."""
        return _WORK_SHARE * (self.stop_limit_s - self.drained_after_s)

    @property
    def log_close_s(self) -> float:
        """The limit on writing queued rows to the logs, after that work."""
        return min(_LOG_CLOSE_S, self.stop_limit_s - self.drained_after_s - self.work_ends_s)

    @property
    def log_limits(self) -> WriterLimits:
        """The limits of the logs. Those that are not shipped have no bound: no process makes room."""
        return WriterLimits(most_local_bytes=self.most_log_bytes if self.log_target else None)

    @property
    def last_shipping_s(self) -> float:
        """The limit on shipping the last files, after the stop of the workers."""
        return _SHIPPING_SHARE * (self.termination_s - self.stop_limit_s)

    @property
    def most_due_calls(self) -> int:
        """The most calls of one address behind Envoy whose message has not arrived."""
        return int(self.most_open_calls * _DUE_SHARE)

    @property
    def supervisor_address(self) -> str:
        """The gRPC target of the health of the process that supervises the workers."""
        return f"unix:{self.state_dir.resolve() / 'router.sock'}"

    @property
    def callers_transport(self) -> Transport:
        """The transport of the port for callers."""
        if not self.plaintext_callers:
            return self.transport
        return Transport(plaintext_allowed=self.insecure)

    @property
    def logged_ids(self) -> LoggedIds:
        """The rule by which the logs contain ids."""
        return LoggedIds(self.log_ids, self.log_key.get_secret_value().encode())

    def admin_address(self, worker: int) -> str:
        """Return the gRPC target of a worker's admin socket."""
        return f"unix:{self.state_dir.resolve() / f'worker-{worker}.sock'}"

    def envoy_path(self, worker: int, pid: int, kind: str) -> Path:
        """Return the path of a file of a worker's Envoy: its admin socket or its configuration.

        It has the pid, since an orphan must not drain the worker that has taken its place.
        """
        return self.state_dir.resolve() / f"envoy-{worker}-{pid}.{kind}"

    @model_validator(mode="after")
    def _acts_on_its_front(self) -> Self:
        idle = _ONLY_ON.get(self.front, frozenset()) & self.model_fields_set
        if idle:
            names = " and ".join(sorted(idle))
            raise ValueError(f"{names} would not act: front is {self.front.value}")
        return self

    @model_validator(mode="after")
    def _callers_have_a_certificate(self) -> Self:
        if self.plaintext_callers and (self.tls_certificate is None or self.tls_callers):
            raise ValueError("plaintext_callers needs tls_certificate and no tls_callers")
        if self.identities is not None and self.callers_transport.files.certificate is None:
            raise ValueError("identities needs tls_certificate and no plaintext_callers")
        return self

    @model_validator(mode="after")
    def _logs_are_shipped(self) -> Self:
        if self.log_target:
            parse_store_url(self.log_target, field="log_target")
            return self
        idle = {"log_keep_s", "most_log_bytes"} & self.model_fields_set
        if idle:
            raise ValueError(f"{' and '.join(sorted(idle))} would not act without log_target")
        return self

    @model_validator(mode="after")
    def _ends_in_time(self) -> Self:
        if self.drained_after_s >= self.termination_s:
            raise ValueError("unready_delay_s + drain_grace_s must be below termination_s")
        if self.cool_down_s >= self.termination_s:
            raise ValueError(
                "cool_down_s must be below termination_s: work that waits for a probe may end that late"
            )
        return self

    @model_validator(mode="after")
    def _relations_hold(self) -> Self:
        if self.metrics_port and self.metrics_port + self.workers - 1 > _LAST_PORT:
            raise ValueError(
                f"metrics_port + workers is too large: the last worker would listen on port "
                f"{self.metrics_port + self.workers - 1}, and the last port is {_LAST_PORT}"
            )
        socket = "worker-63.sock" if self.front is Front.GRPC else "envoy-63-4194304.sock"
        socket_bytes = len(bytes(self.state_dir.resolve() / socket))
        if socket_bytes > _MOST_SOCKET_PATH_BYTES:
            raise ValueError(
                f"state_dir is too deep: an admin socket in it has a path of {socket_bytes} bytes, "
                f"and Linux allows {_MOST_SOCKET_PATH_BYTES}"
            )
        if bool(self.log_group) != (self.log_mode == "0750"):
            raise ValueError(
                "log_mode 0750 and log_group must be set together: each needs the other"
            )
        LoggedIds(self.log_ids, self.log_key.get_secret_value().encode())  # raises for a wrong key
        if self.default_deadline_s > self.largest_deadline_s:
            raise ValueError("default_deadline_s must not be above largest_deadline_s")
        if self.hedge_after_s >= self.scorer_timeout_s:
            raise ValueError(
                "hedge_after_s must be below scorer_timeout_s: it would never take effect"
            )
        if self.least_outstanding_rows > self.most_outstanding_rows:
            raise ValueError("least_outstanding_rows must not be above most_outstanding_rows")
        return self
