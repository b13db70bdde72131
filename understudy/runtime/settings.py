"""Settings of a process: read once, frozen, unknown names refused, before any port is bound."""

import os
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from understudy.domain.errors import Fault, InvalidInputError
from understudy.runtime.secret_files import read_secret
from understudy.runtime.service_links import is_service_link
from understudy.runtime.terminal.json_output import print_json
from understudy.runtime.terminal.output_option import Format
from understudy.runtime.terminal.screen import Screen
from understudy.runtime.validation import faults_of


class SecretOfFile(SecretStr):
    """A secret that was read from a file, and the path of the file, for those who follow it."""

    def __init__(self, secret: str, path: Path) -> None:
        super().__init__(secret)
        self.path = path


class ProcessSettings(BaseSettings):
    """Base of each process's settings: environment variables under the class's prefix.

    `other_prefixes` begin with this class's prefix and belong to another process, as
    `SCORER_HOST_` does with `SCORER_`. `checked_prefixes`, if any, are those of its own variables,
    where others share the prefix. A secret `NAME` may be given as `NAME_FILE`.
    """

    other_prefixes: ClassVar[tuple[str, ...]] = ()
    checked_prefixes: ClassVar[tuple[str, ...]] = ()

    model_config = SettingsConfigDict(env_nested_delimiter="__", frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all of them
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read values that were passed, then the environment without Kubernetes' service links."""
        assert isinstance(env_settings, EnvSettingsSource)  # noqa: S101 - the library's own
        env_settings.env_vars = {
            name: value
            for name, value in env_settings.env_vars.items()
            if value is None or not is_service_link(name, value)
        }
        return init_settings, env_settings


SettingsT = TypeVar("SettingsT", bound=ProcessSettings)


def load_settings(kind: type[SettingsT], overrides: Mapping[str, Any]) -> SettingsT:
    """Read `kind` from the environment; `overrides` (command line) win where not None.

    Raises:
        InvalidInputError: values are invalid or missing, or the environment has an unknown name
            under the prefix.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    secrets, faults = _secrets_in_files(kind)
    faults += _unknown_settings(kind)
    try:
        settings = kind(**given, **secrets)
    except ValidationError as error:
        faults += [_named(fault, kind, overrides, given.keys()) for fault in faults_of(error)]
        raise InvalidInputError(faults) from error
    if faults:
        raise InvalidInputError(faults)
    return settings


def show_settings(settings: ProcessSettings, output: Format) -> None:
    """Print the effective settings, with secrets masked."""
    values = settings.model_dump(mode="json")
    if output is Format.JSON:
        print_json(values)
    else:
        Screen().facts(values.items())


def _named(
    fault: Fault, kind: type[ProcessSettings], overrides: Mapping[str, Any], given: Collection[str]
) -> Fault:
    """Return `fault` with the option or variable that sets the value, without secrets."""
    if not fault.field:
        return Fault(f"{_variable(kind, '')}*", fault.read, fault.accepted)
    name = fault.field.partition(".")[0].partition("[")[0]
    variable, option = _variable(kind, name), f"--{name.replace('_', '-')}"
    if fault.read == "nothing":
        ways = f"{option} or {variable}" if name in overrides else variable
        return Fault(option if name in overrides else variable, "nothing", f"a value, by {ways}")
    is_secret = name in _secret_names(kind)
    return Fault(
        option if name in given else variable,
        "a secret" if is_secret else fault.read,
        fault.accepted,
    )


def _unknown_settings(kind: type[ProcessSettings]) -> list[Fault]:
    # pydantic-settings ignores a misspelt top-level variable; a setting without effect
    # is refused.
    known = sorted(
        [
            *(_variable(kind, name) for name in kind.model_fields),
            *(_file_variable(kind, name) for name in _secret_names(kind)),
        ]
    )
    checked = kind.checked_prefixes or (kind.model_config.get("env_prefix", "").upper(),)
    return [
        Fault(name, "an unknown setting", _suggestions(name, known))
        for name, value in sorted(os.environ.items())
        if name.upper().startswith(checked)
        and not name.upper().startswith(kind.other_prefixes)
        and not any(name.upper() == k or name.upper().startswith(f"{k}__") for k in known)
        and not is_service_link(name, value)
    ]


def _secrets_in_files(kind: type[ProcessSettings]) -> tuple[dict[str, Any], list[Fault]]:
    """Return the secrets that are given as files, by name, and the faults of the others."""
    environment = {name.upper(): value for name, value in os.environ.items()}
    secrets: dict[str, Any] = {}
    faults: list[Fault] = []
    for name in _secret_names(kind):
        variable, file_variable = _variable(kind, name), _file_variable(kind, name)
        if (path := environment.get(file_variable)) is None:
            continue
        if variable in environment:
            accepted = f"either {variable} or {file_variable}"
            faults.append(Fault(f"{variable}, {file_variable}", "both", accepted))
            continue
        try:
            secret = read_secret(Path(path), variable=file_variable)
        except InvalidInputError as error:
            faults += error.faults
        else:
            secrets[name] = SecretOfFile(secret, Path(path))
    return secrets, faults


def _secret_names(kind: type[ProcessSettings]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        if SecretStr in {field.annotation, *get_args(field.annotation)}:
            yield name


def _file_variable(kind: type[ProcessSettings], name: str) -> str:
    return f"{_variable(kind, name)}_FILE"


def _variable(kind: type[ProcessSettings], name: str) -> str:
    return f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def _suggestions(name: str, known: list[str]) -> str:
    return " or ".join(get_close_matches(name.upper(), known, n=3)) or ", ".join(known)
