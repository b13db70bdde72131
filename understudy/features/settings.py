"""Settings of the Aerospike feature store, read once by the process that opens it."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from understudy.features.adapters.aerospike_client import AerospikeOptions
from understudy.runtime.settings import ProcessSettings


class AerospikeSettings(ProcessSettings):
    """Environment variables `FEATURES_AEROSPIKE_…`; hosts and namespace come from the store's URL."""

    model_config = SettingsConfigDict(env_prefix="FEATURES_AEROSPIKE_")

    set_prefix: str = Field(default="", max_length=32, pattern=r"^[A-Za-z0-9_.-]*$")
    cluster_name: str = ""
    user: str = ""
    password: SecretStr = SecretStr("")
    auth_mode: Literal["internal", "external", "external_insecure", "pki"] = "internal"
    tls: bool = False
    tls_name: str = ""
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    use_services_alternate: bool = False
    rack_id: int | None = Field(default=None, ge=0, le=1_000_000)
    replica: Literal["master", "any", "sequence", "prefer_rack", "random"] = "sequence"
    connect_timeout_ms: int = Field(default=500, ge=10, le=60_000)
    max_retries: int = Field(default=2, ge=0, le=10)
    timeout_delay_ms: int = Field(default=0, ge=0, le=60_000)
    max_error_rate: int = Field(default=100, ge=1, le=1_000_000)
    tend_interval_ms: int = Field(default=250, ge=250, le=60_000)
    threads: int = Field(default=4, ge=1, le=64)
    max_connections: int = Field(default=16, ge=1, le=1000)
    write_timeout_ms: int = Field(default=1000, ge=10, le=60_000)
    write_threads: int = Field(default=8, ge=1, le=256)
    durable_deletes: bool = False
    cache_ttl_s: float = Field(default=0.0, ge=0, le=3600)  # 0: no cache
    cache_records: int = Field(default=10_000, ge=2, le=100_000_000)

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        if self.timeout_delay_ms and self.timeout_delay_ms < 3000:  # noqa: PLR2004 - the client's rule
            raise ValueError("timeout_delay_ms must be 0 or at least 3000")
        if bool(self.user) != bool(self.password.get_secret_value()):
            raise ValueError("user and password must be set together")
        if self.auth_mode == "pki" and (self.user or not self.tls_cert_file):
            raise ValueError("auth_mode pki takes tls_cert_file and no user")
        if self.max_connections < self.threads:
            raise ValueError("max_connections must be at least threads")
        self._check_that_each_acts()
        return self

    def _check_that_each_acts(self) -> None:
        names_of_tls = ("tls_name", "tls_ca_file", "tls_cert_file", "tls_key_file")
        idle = [name for name in names_of_tls if getattr(self, name)]
        if idle and not self.tls:
            raise ValueError(f"{' and '.join(idle)} take effect only with tls")
        if (self.rack_id is None) is (self.replica == "prefer_rack"):
            raise ValueError("rack_id and replica prefer_rack take effect only together")
        if self.auth_mode in {"external", "external_insecure"} and not self.user:
            raise ValueError(f"auth_mode {self.auth_mode} takes effect only with a user")

    def options(self, hosts: tuple[tuple[str, int], ...], namespace: str) -> AerospikeOptions:
        """Return the options as plain values for the adapter."""
        given = self.model_dump(exclude={"password", "cache_ttl_s", "cache_records"})
        return AerospikeOptions(
            hosts=hosts, namespace=namespace, password=self.password.get_secret_value(), **given
        )
