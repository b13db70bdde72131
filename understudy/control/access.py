"""The access of commands and scripts to a registry: certificates and a token, from the environment."""

from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from understudy.runtime.settings import load_settings
from understudy.runtime.transport.settings import TransportSettings
from understudy.runtime.transport.transport import LOCAL, Transport

TOKEN_KEY = "authorization"  # noqa: S105 - key in the call's metadata


@dataclass(frozen=True, slots=True)
class Access:
    """The transport of a client to a registry, and the token that proves its name."""

    transport: Transport = LOCAL
    token: str = field(default="", repr=False)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return ((TOKEN_KEY, f"Bearer {self.token}"),) if self.token else ()


class AccessSettings(TransportSettings):
    """Access to a registry. Environment: prefix `UNDERSTUDY_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDY_", frozen=True, extra="forbid")
    checked_prefixes: ClassVar[tuple[str, ...]] = ("UNDERSTUDY_TLS_", "UNDERSTUDY_TOKEN")

    token: SecretStr = Field(SecretStr(""), description="proves the name of the caller")


def access_of_environment() -> Access:
    """Return the access that the variables `UNDERSTUDY_TLS_…` and `UNDERSTUDY_TOKEN(_FILE)` give.

    Raises:
        InvalidInputError: a variable is unknown, or its value is not acceptable.
    """
    settings = load_settings(AccessSettings, {})
    return Access(settings.transport, settings.token.get_secret_value())
