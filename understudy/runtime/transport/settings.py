"""The settings of a process's transport, the same in every process."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from understudy.runtime.settings import ProcessSettings
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.transport import Transport


def environment_of(transport: Transport, *, prefix: str) -> dict[str, str]:
    """Return the variables that give a process with settings under `prefix` the same transport."""
    files = transport.files
    paths = {"TLS_CERTIFICATE": files.certificate, "TLS_KEY": files.key, "TLS_CA": files.ca}
    switches = {"TLS_CALLERS": transport.asks_callers, "INSECURE": transport.plaintext_allowed}
    set_ones = {
        **{name: str(path.resolve()) for name, path in paths.items() if path is not None},
        **{name: "true" for name, is_on in switches.items() if is_on},
    }
    return {f"{prefix}{name}": value for name, value in set_ones.items()}


class TransportSettings(ProcessSettings):
    """Settings of a process that opens ports or channels to other machines."""

    model_config = SettingsConfigDict()

    tls_certificate: Path | None = Field(
        None, description="PEM file of the process's certificate, then intermediate ones"
    )
    tls_key: Path | None = Field(None, description="PEM file of its key, with mode 0600")
    tls_ca: Path | None = Field(
        None, description="PEM file of the authorities whose certificates the process trusts"
    )
    tls_callers: bool = Field(
        default=False, description="demand a certificate of callers, by an authority of tls_ca"
    )
    insecure: bool = Field(
        default=False, description="allow plaintext to and from other machines, with a warning"
    )

    @property
    def transport(self) -> Transport:
        files = TlsFiles(self.tls_certificate, self.tls_key, self.tls_ca)
        return Transport(files, plaintext_allowed=self.insecure, asks_callers=self.tls_callers)

    @model_validator(mode="after")
    def _what_is_set_of_tls_acts(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: only one of them, accepted: both")
        if self.tls_callers and (self.tls_certificate is None or self.tls_ca is None):
            raise ValueError("tls_callers needs tls_certificate, tls_key and tls_ca")
        if self.insecure and self.tls_certificate is not None and self.tls_ca is not None:
            raise ValueError("insecure has no effect beside tls_certificate and tls_ca")
        return self
