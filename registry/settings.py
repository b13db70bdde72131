"""Settings of the registry process: environment under `REGISTRY_`, or the command line."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from registry.decisions.freezes import read_freezes
from registry.decisions.limits import ChangeLimits
from registry.decisions.report_room import RoomLimits
from registry.decisions.seats import ShareLimits
from registry.decisions.webhooks import Target, keys_of, target_of
from registry.storage_settings import StorageSettings
from understudy.domain.errors import InvalidInputError
from understudy.domain.snapshots import LARGEST_SNAPSHOT_BYTES
from understudy.provenance.signing_keys import SigningKeys, TrustedKeys
from understudy.runtime.transport.settings import TransportSettings

Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=1, le=1 << 40)]


_SHARED = (  # limits of which a peer has a share
    "max_uploads",
    "max_fetches",
    "max_watchers",
    "max_unread_bytes",
    "max_hosts",
    "max_routers",
)
_MARGIN_BYTES = 4 << 20  # for the names of hosts, ended models and the rest of a snapshot


class RegistrySettings(StorageSettings, TransportSettings):
    """Environment: `REGISTRY_` and the name in capitals, e.g. `REGISTRY_LISTEN`."""

    checked_prefixes: ClassVar[tuple[str, ...]] = ()  # all below `REGISTRY_`

    model_config = SettingsConfigDict(
        env_prefix="REGISTRY_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    listen: str = "127.0.0.1:8500"
    identities: Path | None = None  # file of callers, with their tokens and roles
    unproven: bool = False  # believe the names that callers claim, without proof
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    workers: Annotated[int, Field(ge=1, le=64)] = 4  # threads for database and files
    silent_after_s: Seconds = 30.0  # a host or router counts as silent if its report is this old
    # Pause between comparisons of the whole database with the audit log; the first is at the start.
    verify_every_s: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 3_600.0
    rollback_review_every_s: Seconds = 600.0  # pause between checks of the rollback targets
    largest_step_bp: Annotated[int, Field(ge=1, le=9_999)] | None = (
        None  # of a change of live traffic
    )
    least_dwell_s: Annotated[float, Field(gt=0, le=2_592_000, allow_inf_nan=False)] | None = (
        None  # for which a version keeps its live share before it gets more
    )
    freezes: Annotated[str, Field(min_length=1)] | None = (
        None  # windows in which only the way back is open, e.g. Fri 16:00-Mon 08:00
    )
    least_approvers: Annotated[int, Field(ge=0, le=2)] = (
        0  # of a version, whatever its model demands
    )
    # Longest time for which an approval counts.
    approval_days: Annotated[float, Field(gt=0, le=3_660, allow_inf_nan=False)] = 30.0
    standby_versions: Annotated[int, Field(ge=0, le=8)] = 1  # former champions kept warm, per model
    max_artifact_bytes: Bytes = 2 << 30
    max_artifact_files: Annotated[int, Field(ge=2, le=10_000)] = 64
    max_uploads: Annotated[int, Field(ge=1, le=64)] = 4  # concurrent registrations
    max_uploads_per_peer: Annotated[int, Field(ge=1, le=64)] = 2  # from one machine
    upload_period_s: Seconds = 30.0  # of waiting for a sender
    upload_period_bytes: Bytes = 1 << 20  # to be received in it; an upload that is slower is ended
    upload_timeout_s: Seconds = 900.0  # limit for all bytes of one upload
    # Defaults for 32 machines whose hosts fetch 4 files at a time, while one restarts.
    max_fetches: Annotated[int, Field(ge=1, le=10_000)] = 256  # of artifact files, at a time
    max_fetches_per_peer: Annotated[int, Field(ge=1, le=10_000)] = 16  # to one machine
    # Defaults for 32 machines of 64 router workers and a scorer host each, while one restarts.
    max_watchers: Annotated[int, Field(ge=1, le=100_000)] = 4_096
    max_watchers_per_peer: Annotated[int, Field(ge=1, le=100_000)] = 160  # from one machine
    # Answers that their callers have not read: watches, fetches, exports and single ones.
    max_unread_bytes: Bytes = 1 << 30
    max_unread_bytes_per_peer: Bytes = 128 << 20  # to one machine
    # Reports, for the same fleet; every one reaches all watchers, or the status.
    max_state_bytes: Annotated[int, Field(ge=1, le=LARGEST_SNAPSHOT_BYTES)] = 32 << 20  # deployed
    max_hosts: Annotated[int, Field(ge=1, le=100_000)] = 256
    max_hosts_per_peer: Annotated[int, Field(ge=1, le=100_000)] = 16  # from one machine
    max_scorers: Annotated[int, Field(ge=1, le=1_000_000)] = 4_096  # of all hosts
    max_host_report_bytes: Bytes = 4 << 20  # of all hosts
    max_routers: Annotated[int, Field(ge=1, le=1_000_000)] = 8_192  # workers of all routers
    max_routers_per_peer: Annotated[int, Field(ge=1, le=1_000_000)] = 1_024  # from one machine
    max_router_models: Annotated[int, Field(ge=1, le=10_000_000)] = 400_000  # of all routers
    max_router_report_bytes: Bytes = 32 << 20  # of all routers
    max_inspections: Annotated[int, Field(ge=1, le=16)] = 2  # concurrent; others wait
    inspection_timeout_s: Seconds = 120.0  # limit on loading and replaying golden vectors
    inspection_max_bytes: Bytes = 2 << 30  # address space of the inspecting process
    signing_key: SecretStr | None = None  # Ed25519, PEM; signs heads of the audit log
    trusted_origins: Path | None = None  # public keys of registries whose versions may be imported
    anchor_path: Path | None = None  # receives a signed head of the log on schedule
    anchor_command: Annotated[str, Field(min_length=1)] | None = (
        None  # is given a signed head on its standard input on schedule
    )
    anchor_every_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 3_600.0
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = None  # none for no metrics
    metrics_ip: str = "127.0.0.1"  # address of the metrics endpoint
    webhook_url: Annotated[str, Field(min_length=1, max_length=2_000)] | None = (
        None  # https://…, or http:// on loopback; receives each change and refused attempts
    )
    webhook_key: SecretStr | None = None  # whsec_ and base64; a line for each key, for a rotation
    webhook_ca: Path | None = None  # authorities of the receiver's certificate; none: the system's
    unready_delay_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 0.0
    drain_grace_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 2.0

    @model_validator(mode="after")
    def _callers_are_proven_or_believed(self) -> Self:
        if self.identities is not None and self.unproven:
            raise ValueError("unproven has no effect beside identities")
        if self.identities is None and self.least_approvers:
            raise ValueError("least_approvers needs identities: no one could approve without proof")
        if self.identities is None and not self.unproven:
            raise ValueError(
                "neither identities nor unproven; accepted: identities (a file of callers, whose "
                "names are proven), or unproven=true (each caller is believed)"
            )
        return self

    @property
    def upload_seats(self) -> ShareLimits:
        """The seats of uploads."""
        return ShareLimits(self.max_uploads, min(self.max_uploads, self.max_uploads_per_peer))

    @property
    def fetch_seats(self) -> ShareLimits:
        """The seats of fetches of artifact files."""
        return ShareLimits(self.max_fetches, min(self.max_fetches, self.max_fetches_per_peer))

    @property
    def watch_seats(self) -> ShareLimits:
        """The seats of watchers."""
        return ShareLimits(self.max_watchers, min(self.max_watchers, self.max_watchers_per_peer))

    @property
    def unread_limits(self) -> ShareLimits:
        """The room for answers that their callers have not read."""
        share = min(self.max_unread_bytes, self.max_unread_bytes_per_peer)
        return ShareLimits(self.max_unread_bytes, share)

    @property
    def host_room(self) -> RoomLimits:
        """The room for reports of scorer hosts."""
        share = min(self.max_hosts, self.max_hosts_per_peer)
        return RoomLimits(self.max_hosts, share, self.max_scorers, self.max_host_report_bytes)

    @property
    def router_room(self) -> RoomLimits:
        """The room for reports of routers."""
        share = min(self.max_routers, self.max_routers_per_peer)
        return RoomLimits(
            self.max_routers, share, self.max_router_models, self.max_router_report_bytes
        )

    @property
    def change_limits(self) -> ChangeLimits:
        """The limits of changes."""
        freezes = () if self.freezes is None else read_freezes(self.freezes)
        return ChangeLimits(self.largest_step_bp, self.least_dwell_s, freezes)

    @field_validator("freezes")
    @classmethod
    def _freezes_can_be_read(cls, text: str | None) -> str | None:
        try:
            _ = read_freezes(text) if text is not None else ()
        except InvalidInputError as error:
            raise ValueError(str(error)) from error
        return text

    @model_validator(mode="after")
    def _watchers_can_receive_it(self) -> Self:
        most_bytes = self.max_state_bytes + self.max_host_report_bytes
        if most_bytes > LARGEST_SNAPSHOT_BYTES - _MARGIN_BYTES:
            raise ValueError(
                f"max_state_bytes + max_host_report_bytes must leave {_MARGIN_BYTES} of the "
                f"{LARGEST_SNAPSHOT_BYTES} bytes that watchers accept"
            )
        return self

    @property
    def signing_keys(self) -> SigningKeys | None:
        """The keys that sign; None without one."""
        if self.signing_key is None:
            return None
        return SigningKeys.read(self.signing_key.get_secret_value(), "REGISTRY_SIGNING_KEY")

    @property
    def trusted_keys(self) -> TrustedKeys | None:
        """The keys of trusted registries; None without a file of them."""
        if self.trusted_origins is None:
            return None
        name = "REGISTRY_TRUSTED_ORIGINS"
        try:
            text = self.trusted_origins.read_text()
        except (OSError, UnicodeDecodeError) as error:
            read = f"{self.trusted_origins}: {error}"
            raise InvalidInputError.of(name, read=read, accepted="a readable PEM file") from error
        return TrustedKeys.read(text, name)

    @model_validator(mode="after")
    def _heads_are_signed_and_anchored(self) -> Self:
        _ = self.signing_keys, self.trusted_keys  # refused here if they are none
        is_anchored = self.anchor_path is not None or self.anchor_command is not None
        if is_anchored and self.signing_key is None:
            raise ValueError("anchor_path and anchor_command need signing_key")
        if not is_anchored and "anchor_every_s" in self.model_fields_set:
            raise ValueError(
                "anchor_every_s needs anchor_path or anchor_command: it would never act"
            )
        return self

    @model_validator(mode="after")
    def _metrics_act(self) -> Self:
        if self.metrics_port is None and "metrics_ip" in self.model_fields_set:
            raise ValueError("metrics_ip has no effect without metrics_port")
        return self

    @property
    def webhook_target(self) -> Target | None:
        """The receiver of webhooks; None without one.

        Raises:
            InvalidInputError: its URL is not usable.
        """
        return None if self.webhook_url is None else target_of(self.webhook_url)

    @property
    def webhook_keys(self) -> tuple[bytes, ...]:
        """The keys that sign webhooks.

        Raises:
            InvalidInputError: one has another form.
        """
        return () if self.webhook_key is None else keys_of(self.webhook_key.get_secret_value())

    @model_validator(mode="after")
    def _webhooks_act(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_key is None):
            raise ValueError("webhook_url and webhook_key: only one of them, accepted: both")
        target, keys = self.webhook_target, self.webhook_keys
        if self.webhook_key is not None and not keys:
            raise ValueError("webhook_key: read no line; accepted: a key a line")
        if self.webhook_ca is not None and (target is None or not target.is_tls):
            raise ValueError("webhook_ca has no effect without a webhook_url of https")
        return self

    @model_validator(mode="after")
    def _shares_act(self) -> Self:
        for total in _SHARED:
            share = f"{total}_per_peer"
            # A total below the default share is no contradiction: the share was not set.
            if share in self.model_fields_set and getattr(self, share) > getattr(self, total):
                raise ValueError(f"{share} must not be above {total}: it would never act")
        return self
