"""The access of commands and scripts to a registry: certificates and a token, from the environment."""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from understudy.runtime.settings import load_settings
from understudy.runtime.transport.settings import TransportSettings
from understudy.runtime.transport.transport import Transport


class AccessSettings(TransportSettings):
    """Settings of processes and commands that call a registry."""

    model_config = SettingsConfigDict()

    token: SecretStr | None = Field(
        None, description="proves the name of the caller to the registry; needs tls_ca"
    )

    @property
    def access(self) -> Transport:
        """The transport to the registry."""
        token = "" if self.token is None else self.token.get_secret_value()
        return replace(self.transport, token=token)


class CommandSettings(AccessSettings):
    """The access of commands and scripts. Environment: prefix `UNDERSTUDY_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDY_", frozen=True, extra="forbid")
    checked_prefixes: ClassVar[tuple[str, ...]] = ("UNDERSTUDY_TLS_", "UNDERSTUDY_TOKEN")


def access_of_environment() -> Transport:
    """Return the access that the variables `UNDERSTUDY_TLS_…` and `UNDERSTUDY_TOKEN(_FILE)` give.

    Raises:
        InvalidInputError: a variable is unknown, or its value is not acceptable.
    """
    return load_settings(CommandSettings, {}).access
