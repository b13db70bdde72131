"""The access of commands and scripts to a registry: certificates and a token."""

import os
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from understudy.control.known_registries import known_folder
from understudy.runtime.secret_files import read_secret
from understudy.runtime.settings import SecretOfFile, load_settings
from understudy.runtime.transport.settings import TransportSettings
from understudy.runtime.transport.tls_files import TlsFiles
from understudy.runtime.transport.tokens import Token, TokenFile
from understudy.runtime.transport.transport import Transport

CA_FILE = "ca.pem"  # in the folder of a stack's access
TOKEN_FILE = "admin-token"  # noqa: S105 - the name of the file


class AccessSettings(TransportSettings):
    """Settings of processes and commands that call a registry."""

    model_config = SettingsConfigDict()

    token: SecretStr | None = Field(
        None, description="proves the name of the caller to the registry; needs tls_ca"
    )

    @property
    def access(self) -> Transport:
        """The transport to the registry."""
        return replace(self.transport, token=self._token)

    @property
    def _token(self) -> Token:
        match self.token:
            case None:
                return ""
            case SecretOfFile(path=path):
                return TokenFile(path)
            case secret:
                return secret.get_secret_value()


class CommandSettings(AccessSettings):
    """The access of commands and scripts. Environment: prefix `UNDERSTUDY_`."""

    model_config = SettingsConfigDict(env_prefix="UNDERSTUDY_", frozen=True, extra="forbid")
    checked_prefixes: ClassVar[tuple[str, ...]] = ("UNDERSTUDY_TLS_", "UNDERSTUDY_TOKEN")


def access_of_environment(target: str) -> Transport:
    """Return the access to the process at `target`, HOST:PORT.

    It is that of the variables `UNDERSTUDY_TLS_…`, `UNDERSTUDY_TOKEN(_FILE)` and
    `UNDERSTUDY_INSECURE` if one of them is set; otherwise that of a stack which this user runs and
    whose registry has the address; otherwise plaintext without a name.

    Raises:
        InvalidInputError: a variable is unknown, its value is not acceptable, or a file of the
            stack's access is not readable.
    """
    settings = load_settings(CommandSettings, {})
    if not settings.model_fields_set and (folder := known_folder(target, os.environ)) is not None:
        return access_in(folder)
    return settings.access


def access_in(folder: Path) -> Transport:
    """Return the access to the registry of a stack, whose files are in `folder`.

    Raises:
        InvalidInputError: the token is not readable, or others may read it.
    """
    read_secret(folder / TOKEN_FILE, variable=TOKEN_FILE)  # a call would name it late
    return Transport(TlsFiles(ca=folder / CA_FILE), token=TokenFile(folder / TOKEN_FILE))
