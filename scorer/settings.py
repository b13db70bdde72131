"""Settings of a scorer process and of a scorer host."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from understudy.artifact.session_options import SessionOptions
from understudy.control.access import AccessSettings
from understudy.domain.errors import InvalidInputError
from understudy.domain.placement import Placement, checked_placement, listed_names
from understudy.runtime.transport.settings import TransportSettings

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, le=86_400)]
SecondsOrNone = Annotated[float, Field(ge=0, allow_inf_nan=False, le=86_400)]
Nice = Annotated[int, Field(ge=0, le=19)]
Threads = Annotated[int, Field(ge=1, le=256)]


_SESSION = SessionOptions()
_HOST_CLOSE_S = 10.0  # from the end of the last scorer to the exit
_LEVELS = "^(debug|info|warning|error)$"


class NanPolicy(StrEnum):
    ACCEPT = "accept"  # NaN may mean "missing" in the model
    REFUSE = "refuse"


class ScorerSettings(TransportSettings):
    """Settings of one scorer process. Environment: prefix `SCORER_`."""

    model_config = SettingsConfigDict(env_prefix="SCORER_", frozen=True, extra="forbid")
    other_prefixes: ClassVar[tuple[str, ...]] = ("SCORER_HOST_",)

    listen: str = Field("127.0.0.1:8001", description="host:port, or unix:/path")
    metrics_port: int | None = Field(
        None, ge=0, le=65_535, description="Prometheus port; none for no metrics"
    )
    metrics_ip: str = Field("127.0.0.1", description="address of the metrics endpoint")
    log_level: str = Field("info", pattern=_LEVELS, description="debug, info, warning or error")

    intra_op_threads: int = Field(
        _SESSION.intra_op_threads,
        ge=0,
        le=256,
        description="threads of one run; 0 for the number of CPUs that the cgroups grant",
    )
    inter_op_threads: Threads = Field(
        _SESSION.inter_op_threads,
        description="parallel operators of one run; above 1 not with MEMORY_PATTERN",
    )
    spin: bool = Field(_SESSION.spin, description="ONNX Runtime threads spin while idle")
    arena: bool = Field(_SESSION.arena, description="ONNX Runtime keeps memory between runs")
    max_memory_mb: int | None = Field(
        None,
        ge=256,
        le=16_777_216,
        description="limit on address space; a run that needs more is refused",
    )
    memory_pattern: bool = Field(
        _SESSION.memory_pattern,
        description="ONNX Runtime plans memory per shape; useful for fixed shapes",
    )

    max_batch_rows: int = Field(
        256, ge=1, le=65_536, description="maximum number of rows joined into one run"
    )
    max_queue_rows: int = Field(
        16_384,
        ge=1,
        le=1_000_000,
        description="maximum number of waiting rows; further calls are refused",
    )
    # Above the 10,000 candidates that a router accepts in one ScoreBatch.
    max_request_rows: int = Field(
        16_384, ge=1, le=1_000_000, description="maximum number of rows of one request"
    )
    # A router's worker keeps a stream per request in flight, and routers may share an address.
    max_streams: int = Field(
        4_096, ge=1, le=1_000_000, description="maximum number of open streams"
    )
    max_streams_per_caller: int = Field(
        1_024,
        ge=1,
        le=1_000_000,
        description="maximum number of open streams from one address, and of connections with frames",
    )
    gather_ms: int = Field(2, ge=0, le=100, description="longest wait for other calls under load")
    gather_rows: int = Field(
        32, ge=1, le=65_536, description="this many rows never wait for other calls"
    )
    inline_run_ms: float = Field(
        2.0, ge=0, le=1_000, description="runs expected to take longer go to a thread"
    )
    nan_policy: NanPolicy = Field(
        NanPolicy.ACCEPT, description="accept or refuse NaN and infinity in inputs"
    )

    golden_tolerance: float = Field(
        1e-4, ge=0, le=1, description="largest absolute difference, if none is registered"
    )
    require_golden: bool = Field(default=False, description="refuse a model without golden.npz")

    unready_delay_s: SecondsOrNone = Field(0.2, description="time as NOT_SERVING before the drain")
    drain_grace_s: Seconds = Field(10.0, description="limit for calls in flight")

    @model_validator(mode="after")
    def _what_is_set_acts(self) -> Self:
        # ONNX Runtime plans memory for sequential operators only, without a warning.
        if self.memory_pattern and self.inter_op_threads > 1:
            raise ValueError("memory_pattern needs inter_op_threads = 1")
        return self


class HostSettings(AccessSettings):
    """Settings of the scorer host. Environment: prefix `SCORER_HOST_`."""

    model_config = SettingsConfigDict(env_prefix="SCORER_HOST_", frozen=True, extra="forbid")

    registry: str = Field(
        "127.0.0.1:8500",
        description="the registry's host:port, or several separated by commas, tried in turn",
    )
    dir: Path = Field(description="artifact cache, sockets, state")
    host_id: str | None = Field(
        None, description="by default the names of the machine and the folder"
    )
    listen: str = Field("127.0.0.1:0", description="the host's own health service")
    log_level: str = Field("info", pattern=_LEVELS, description="debug, info, warning or error")
    scorer_address: str = Field(
        "unix", description="unix for sockets below dir, or the IP that scorers bind"
    )

    metrics_port: int | None = Field(
        None, ge=1, le=65_535, description="the host's own Prometheus port; none for no metrics"
    )
    metrics_ip: str = Field("127.0.0.1", description="address of the host's own metrics")
    first_metrics_port: int | None = Field(
        None, ge=1, le=65_000, description="metrics port of the first scorer; the others follow"
    )

    keep_artifacts_s: float = Field(
        86_400.0,
        ge=0,
        le=2_592_000,
        description="how long to keep artifacts that no deployment names any more",
    )

    models: str | None = Field(
        None, min_length=1, description="models that it may run, separated by commas; none for all"
    )
    labels: str | None = Field(
        None, min_length=1, description="its labels, separated by commas, that deployments ask for"
    )
    replicas: int = Field(1, ge=1, le=64, description="processes per version")
    live_nice: Nice = Field(0, description="niceness of champions, challengers, fallbacks")
    shadow_nice: Nice = Field(5, description="niceness of versions that only shadow")

    load_nice: Nice = Field(10, description="niceness of a scorer that loads while others serve")
    load_idle_s: SecondsOrNone = Field(
        10.0, description="how long, before that, to load only on idle CPUs"
    )

    load_apart: bool = Field(
        default=True,
        description="load on the last CPU, and keep serving scorers off it if they fit on the others",
    )

    stalled_after_s: Seconds = Field(
        60.0, description="limit on a start without progress (CPU time, another health)"
    )
    start_timeout_s: Seconds = Field(
        900.0, description="limit from start to ready, even with progress"
    )
    probe_interval_s: Seconds = Field(1.0, description="time between liveness probes")
    probe_timeout_s: Seconds = Field(2.0, description="a later answer counts as a miss")
    probe_misses: int = Field(
        3, ge=1, le=100, description="consecutive misses after which a process is killed"
    )
    first_back_off_s: Seconds = Field(0.25, description="delay of the first restart; then doubled")
    longest_back_off_s: Seconds = Field(30.0, description="limit of the doubling")
    restart_budget: int = Field(
        8,
        ge=0,
        le=1_000,
        description="restarts allowed within the window before a version counts as FAILING or GAVE_UP",
    )
    restart_window_s: Seconds = Field(300.0, description="length of the window")
    report_interval_s: Seconds = Field(2.0, description="period of reports to the registry")
    leave_delay_s: SecondsOrNone = Field(
        0.5, description="time reported as DRAINING before SIGTERM"
    )
    drain_grace_s: Seconds = Field(10.0, description="limit for a scorer's calls in flight")
    kill_after_s: Seconds = Field(15.0, description="time from SIGTERM to SIGKILL")

    @property
    def placement(self) -> Placement:
        """The deployments that the host may run.

        Raises:
            InvalidInputError: a name is invalid or repeated; never of settings that were loaded.
        """
        return checked_placement(listed_names(self.models or ""), listed_names(self.labels or ""))

    @model_validator(mode="after")
    def _placement_is_valid(self) -> Self:
        try:
            _ = self.placement
        except InvalidInputError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def stop_limit_s(self) -> float:
        """The limit on the stop of the host, its scorers included."""
        return self.leave_delay_s + self.kill_after_s + _HOST_CLOSE_S

    @model_validator(mode="after")
    def _drain_fits(self) -> Self:
        if self.drain_grace_s >= self.kill_after_s:
            raise ValueError("drain_grace_s must be below kill_after_s")
        if self.first_back_off_s > self.longest_back_off_s:
            raise ValueError("first_back_off_s must be at most longest_back_off_s")
        return self

    @model_validator(mode="after")
    def _metrics_act(self) -> Self:
        own, first = self.metrics_port, self.first_metrics_port
        if own is not None and first is not None and own >= first:
            raise ValueError(
                f"metrics_port is {own} and must be below first_metrics_port, {first}: "
                "the ports from there on are for scorers"
            )
        if own is None and "metrics_ip" in self.model_fields_set:
            raise ValueError("metrics_ip has no effect without metrics_port")
        return self
